"""One plan: encode what is seen, descend the energy from noise, keep the lowest."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebt_data.step import BenchSpec
from ebt_recipes.batch import Observations, from_bench
from ebt_recipes.checkpoint import Run
from ebt_recipes.compiling import compile_plans
from ebt_recipes.planner import Effort, Plan, Request
from ebt_recipes.sampler import Samples


class Descent:
    """Computes plans for one run on one bench; what a planner calls."""

    def __init__(self, run: Run, spec: BenchSpec, tail: bool = False) -> None:
        """`tail`: also score the rest of the plan before under the new observation, one more energy.

        Raises:
            ConfigError: the run was trained for another bench; the message is a table of what differs.
        """
        run.check(spec)
        self._run = run
        self._model = run.model
        self._objective = run.objective()
        self._rate_hz = spec.rate_hz
        self._tail = tail

    def latency_s(self, effort: Effort) -> float:
        """What a plan takes by the recipe's word, which is for its own steps and one sample, and grows with both."""
        standard = max(1, len(self._run.recipe.objective.step_sizes))
        steps = standard if effort.steps is None else effort.steps
        return self._run.recipe.act.latency_s * max(1.0, steps * effort.samples / standard)

    def compile(self) -> str:
        """Make the usual plan faster; how much, or why not. Takes up to a minute."""
        run, size = self._run, self._run.recipe.encoder.image_size
        shapes = {name: (1, size, size, 3) for name in run.cameras}
        width = len(run.contract.joints)
        seen = Observations(
            {name: torch.zeros(shape, dtype=torch.uint8) for name, shape in shapes.items()},
            {name: torch.zeros(1, width) for name in ("position", "velocity", "effort")},
            {name: torch.zeros(1, 7) for name in run.recipe.observe.privileged},
        )
        return compile_plans(lambda: self._sample(seen, Effort(), 0), self._model)

    @torch.no_grad()
    def _sample(self, seen: Observations, effort: Effort, seed: int) -> tuple[Tensor, Samples]:
        """Context tokens [1, C, D], and where each of the descents ended."""
        context_1CD = self._model.encode(seen)
        generator = torch.Generator().manual_seed(seed)
        context_NCD = context_1CD.expand(effort.samples, -1, -1)
        return context_1CD, self._objective.sample(self._model, context_NCD, effort.steps, generator)

    @torch.no_grad()
    def __call__(self, request: Request) -> Plan:
        recipe = self._run.recipe
        observation, effort = request.observation, request.effort
        seen = from_bench(observation, self._run.cameras, recipe.encoder.image_size, recipe.observe.privileged)
        position_1J = seen.joints["position"]
        context_1CD, samples = self._sample(seen, effort, request.seed)
        best = int(samples.energies[:, -1].nan_to_num(nan=torch.inf).argmin())
        trace = samples.energies[best, : int(samples.steps_used[best]) + 1]
        chunk = self._model.denormalise(samples.x[best, None], position_1J)[0].numpy()
        plan = Plan(chunk, float(trace[-1]), tuple(trace.tolist()), observation.time_s)
        return plan if request.previous is None else self._compared(plan, request.previous, context_1CD, position_1J)

    def _compared(self, plan: Plan, previous: Plan, context_1CD: Tensor, position_1J: Tensor) -> Plan:
        """The plan, and how it stands to the one before."""
        past = previous.row(plan.made_for_s, self._rate_hz)
        rest: NDArray[np.float32] = previous.chunk[past:]
        plan = replace(plan, jump_rad=float(np.abs(plan.chunk[: len(rest)] - rest).mean()))
        if not self._tail:
            return plan
        tail = np.concatenate([rest, np.repeat(rest[-1:], past, axis=0)])
        energy = self._model.energy(context_1CD, self._model.normalise(torch.from_numpy(tail)[None], position_1J))
        return replace(plan, tail_energy=float(energy[0]))
