"""Computes one plan: encode the observation, descend the energy from noise, keep the lowest candidate."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ebt_data.errors import MisuseError
from ebt_data.step import BenchSpec
from ebt_recipes.model.batch import Observations, from_bench
from ebt_recipes.objectives.plan_sampler import PlanSampler, PlanTail, SamplingBudget
from ebt_recipes.objectives.sampler import Samples
from ebt_recipes.policy.deadline import Deadline
from ebt_recipes.policy.planner import Plan, Request
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.training.compiling import compile_plans
from ebt_recipes.uncertainty.scores import PlanContext, Scorer, available_scores

ScoreFunction = Callable[[tuple[str, ...], PlanContext], Mapping[str, Tensor]]
"""Scores [B] of plans by these names."""


class PlanService:
    """Computes plans for one run on one bench; a planner calls it."""

    def __init__(
        self,
        run: Run,
        spec: BenchSpec,
        scores: tuple[str, ...] = ("energy",),
        score_function: ScoreFunction | None = None,
        within_s: float = 0.0,
    ) -> None:
        """`scores`: names in `scores.SCORES` that each plan is scored by, or names that `score_function` accepts.

        A plan takes fewer steps if it would exceed `within_s`; 0: no limit.

        Raises:
            ConfigError: the run was trained for another bench; the message is a table of the differences.
            MisuseError: the run does not have one of the scores.
        """
        run.check(spec)
        self._run = run
        self._model = run.model
        self._plan_sampler = PlanSampler(run.model, run.objective(), run.recipe.act)
        self._rate_hz = spec.rate_hz
        self._score_function = score_function or Scorer(run.model, run.reference)
        self._scores = scores
        self._deadline = Deadline(within_s)
        available = available_scores(run.model, run.reference)
        if score_function is None and (missing := [name for name in scores if name not in available]):
            raise MisuseError(
                f"{run.path} has no score {', '.join(missing)}; it has {', '.join(available)}",
                hint="runs without a normal.safetensors, from older versions, have fewer",
            )

    def latency_s(self, budget: SamplingBudget) -> float:
        """Latency of a plan: the recipe's is for its default steps and samples, and scales with both."""
        standard = max(1, self._run.recipe.objective.default_steps)
        steps = standard if budget.steps is None else budget.steps
        act = self._run.recipe.act
        samples = max(budget.samples, act.samples) / act.samples
        return act.latency_s * max(1.0, steps * samples / standard)

    def compile(self) -> str:
        """Compile the default plan's sampling, up to a minute; returns the speed-up, or why it is not compiled."""
        run, size = self._run, self._run.recipe.encoder.image_size
        shapes = {name: (1, size, size, 3) for name in run.cameras}
        statistics = run.statistics.inputs
        example = Observations(
            {name: torch.zeros(shape, dtype=torch.uint8) for name, shape in shapes.items()},
            {name: torch.zeros(1, len(values.mean)) for name, values in statistics.items()},
            {name: torch.zeros(1, len(statistics[name].mean)) for name in run.recipe.observe.privileged},
        )
        return compile_plans(lambda: self._sample(self._model.encode(example), None, SamplingBudget(), 0), self._model)

    def __call__(self, request: Request) -> Plan:
        with torch.no_grad():
            return self._plan(request)

    def _plan(self, request: Request) -> Plan:
        recipe = self._run.recipe
        observation = request.observation
        start_s = time.perf_counter()
        observe, past = recipe.observe, request.past
        if observe.past_actions and past is None:
            past = np.repeat(observation.position[None], observe.past_actions, axis=0)
        observations = from_bench(observation, self._run.cameras, recipe.encoder.image_size, observe.privileged, past)
        position_1J = observations.joints["position"]
        features_1F = self._model.encoder.features(observations)
        context_1CD = self._model.encoder.embed(features_1F)
        tail = self._tail_of(request, position_1J)
        sampling_s = time.perf_counter()
        samples = self._sample(context_1CD, tail, self._limit_steps(request.budget), request.seed)
        sampled_s = time.perf_counter()
        used, evaluations = int(samples.steps_used[0]), int(samples.gradient_evaluations[0])
        trace = samples.energies[0, : used + 1]
        chunk = self._model.denormalise(samples.x, position_1J)[0].numpy()
        now_s = observation.time_s
        no_tail = PlanTail(samples.x, samples.x.new_zeros(samples.x.shape[:2]))
        time_1 = samples.x.new_tensor([now_s])
        plan_context = PlanContext(time_1, position_1J, features_1F, context_1CD, samples, tail or no_tail)
        scores = {name: float(value[0]) for name, value in self._score_function(self._scores, plan_context).items()}
        if self._is_default(request.budget):
            rest_s = sampling_s - start_s + time.perf_counter() - sampled_s
            self._deadline.record(rest_s, sampled_s - sampling_s, evaluations)
        return Plan(
            chunk, float(trace[-1]), tuple(trace.tolist()), now_s, scores=scores, gradient_evaluations=evaluations
        )

    def _is_default(self, budget: SamplingBudget) -> bool:
        """Whether the budget has no more samples than the recipe; a plan after a retry has more, and the arm holds."""
        return budget.samples <= self._run.recipe.act.samples

    def _limit_steps(self, budget: SamplingBudget) -> SamplingBudget:
        if not self._deadline.within_s or not self._is_default(budget):
            return budget
        wanted = self._run.recipe.objective.default_steps if budget.steps is None else budget.steps
        return replace(budget, steps=self._deadline.steps(wanted))

    def _sample(self, context_1CD: Tensor, tail: PlanTail | None, budget: SamplingBudget, seed: int) -> Samples:
        return self._plan_sampler(context_1CD, tail, budget, torch.Generator().manual_seed(seed))

    def _tail_of(self, request: Request, position_1J: Tensor) -> PlanTail | None:
        """Remainder of the current plan, normalised for the new pose."""
        previous = request.previous
        if previous is None:
            return None
        past = previous.row(request.observation.time_s, self._rate_hz)
        rest = torch.from_numpy(previous.chunk[past:])
        tail = torch.cat([rest, rest[-1:].expand(past, -1)])[None]
        mask = torch.ones(1, len(previous.chunk))
        mask[:, len(rest) :] = 0
        return PlanTail(self._model.normalise(tail, position_1J), mask)
