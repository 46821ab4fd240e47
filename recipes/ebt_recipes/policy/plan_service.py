"""One plan: encode what is seen, descend the energy from noise, keep the lowest."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ebt_data.errors import MisuseError
from ebt_data.step import BenchSpec
from ebt_recipes.model.batch import Observations, from_bench
from ebt_recipes.objectives.plan_sampler import Effort, PlanSampler, Tail
from ebt_recipes.objectives.sampler import Samples
from ebt_recipes.policy.deadline import Deadline
from ebt_recipes.policy.planner import Plan, Request
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.training.compiling import compile_plans
from ebt_recipes.uncertainty.scores import PlanContext, Scorer, offered

Judge = Callable[[tuple[str, ...], PlanContext], Mapping[str, Tensor]]
"""Scores [B] of a thought by these names."""


class PlanService:
    """Computes plans for one run on one bench; what a planner calls."""

    def __init__(
        self,
        run: Run,
        spec: BenchSpec,
        scores: tuple[str, ...] = ("energy",),
        judge: Judge | None = None,
        within_s: float = 0.0,
    ) -> None:
        """`scores`: what each plan is to be judged by, names in `scores.SCORES`, or those that `judge` knows.

        A plan takes fewer steps rather than longer than `within_s`, by the clock; 0: always all.

        Raises:
            ConfigError: the run was trained for another bench; the message is a table of what differs.
            MisuseError: the run cannot give one of the scores.
        """
        run.check(spec)
        self._run = run
        self._model = run.model
        self._plan_sampler = PlanSampler(run.model, run.objective(), run.recipe.act)
        self._rate_hz = spec.rate_hz
        self._judge = judge or Scorer(run.model, run.reference)
        self._scores = scores
        self._deadline = Deadline(within_s)
        known = offered(run.model, run.reference)
        if judge is None and (missing := [name for name in scores if name not in known]):
            raise MisuseError(
                f"{run.path} has no score {', '.join(missing)}; it has {', '.join(known)}",
                hint="runs trained before there was a normal.safetensors have fewer",
            )

    def latency_s(self, effort: Effort) -> float:
        """What a plan takes by the recipe's word, which is for its own steps and samples, and grows with both."""
        standard = max(1, self._run.recipe.objective.usual_steps)
        steps = standard if effort.steps is None else effort.steps
        act = self._run.recipe.act
        samples = max(effort.samples, act.samples) / act.samples
        return act.latency_s * max(1.0, steps * samples / standard)

    def compile(self) -> str:
        """Make the usual plan faster; how much, or why not. Takes up to a minute."""
        run, size = self._run, self._run.recipe.encoder.image_size
        shapes = {name: (1, size, size, 3) for name in run.cameras}
        spreads = run.statistics.inputs
        seen = Observations(
            {name: torch.zeros(shape, dtype=torch.uint8) for name, shape in shapes.items()},
            {name: torch.zeros(1, len(spread.mean)) for name, spread in spreads.items()},
            {name: torch.zeros(1, len(spreads[name].mean)) for name in run.recipe.observe.privileged},
        )
        return compile_plans(lambda: self._sample(self._model.encode(seen), None, Effort(), 0), self._model)

    def __call__(self, request: Request) -> Plan:
        with torch.no_grad():
            return self._plan(request)

    def _plan(self, request: Request) -> Plan:
        recipe = self._run.recipe
        observation = request.observation
        begun_s = time.perf_counter()
        observe, past = recipe.observe, request.past
        if observe.past_actions and past is None:
            past = np.repeat(observation.position[None], observe.past_actions, axis=0)
        seen = from_bench(observation, self._run.cameras, recipe.encoder.image_size, observe.privileged, past)
        position_1J = seen.joints["position"]
        features_1F = self._model.encoder.features(seen)
        context_1CD = self._model.encoder.embed(features_1F)
        tail = self._rest_of(request, position_1J)
        sampling_s = time.perf_counter()
        samples = self._sample(context_1CD, tail, self._affordable(request.effort), request.seed)
        sampled_s = time.perf_counter()
        used, slopes = int(samples.steps_used[0]), int(samples.slopes[0])
        trace = samples.energies[0, : used + 1]
        chunk = self._model.denormalise(samples.x, position_1J)[0].numpy()
        now_s = observation.time_s
        nothing = Tail(samples.x, samples.x.new_zeros(samples.x.shape[:2]))
        time_1 = samples.x.new_tensor([now_s])
        plan_context = PlanContext(time_1, position_1J, features_1F, context_1CD, samples, tail or nothing)
        scores = {name: float(value[0]) for name, value in self._judge(self._scores, plan_context).items()}
        if self._usual(request.effort):
            rest_s = sampling_s - begun_s + time.perf_counter() - sampled_s
            self._deadline.note(rest_s, sampled_s - sampling_s, slopes)
        return Plan(chunk, float(trace[-1]), tuple(trace.tolist()), now_s, scores=scores, slopes=slopes)

    def _usual(self, effort: Effort) -> bool:
        """No more samples than always; the plan after a retry has more, and nobody waits for it but an arm that holds."""
        return effort.samples <= self._run.recipe.act.samples

    def _affordable(self, effort: Effort) -> Effort:
        if not self._deadline.within_s or not self._usual(effort):
            return effort
        wanted = self._run.recipe.objective.usual_steps if effort.steps is None else effort.steps
        return replace(effort, steps=self._deadline.steps(wanted))

    def _sample(self, context_1CD: Tensor, tail: Tail | None, effort: Effort, seed: int) -> Samples:
        return self._plan_sampler(context_1CD, tail, effort, torch.Generator().manual_seed(seed))

    def _rest_of(self, request: Request, position_1J: Tensor) -> Tail | None:
        """What the plan in use still says."""
        previous = request.previous
        if previous is None:
            return None
        past = previous.row(request.observation.time_s, self._rate_hz)
        rest = torch.from_numpy(previous.chunk[past:])
        tail = torch.cat([rest, rest[-1:].expand(past, -1)])[None]
        known = torch.ones(1, len(previous.chunk))
        known[:, len(rest) :] = 0
        return Tail(self._model.normalise(tail, position_1J), known)
