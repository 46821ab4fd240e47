"""Samples one plan for each of several observations: initial noise, candidates, and the choice among them.

All of it works for vector fields as well as energies, so that policies without an energy have the same options.

Shapes: B rows, H ticks, J joints, C context tokens, D width, K steps, N samples.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.objectives.objective import Objective
from ebt_recipes.objectives.sampler import Samples
from ebt_recipes.recipe import ActRecipe


@dataclass(frozen=True)
class SamplingBudget:
    """Steps and candidates for one plan."""

    steps: int | None = None
    """Descent steps; None: the recipe's."""
    samples: int = 1
    """Candidates from different noise; the one with the lowest energy is used."""


@dataclass(frozen=True)
class PlanTail:
    """Remainder of the current plans, as candidates for the new observations."""

    x: Tensor
    """[B, H, J] normalised for the new pose; ticks past the old plan's end repeat its last."""
    mask: Tensor
    """[B, H] 1 up to the current plan's end, 0 after it; all 0 in a row without a plan."""

    def distance(self, x_BHJ: Tensor) -> Tensor:
        """Mean squared distance [B] of chunks to the masked-in ticks; 0 if there are none."""
        squared = ((x_BHJ - self.x).square() * self.mask[..., None]).sum(dim=(1, 2))
        return squared / (self.mask.sum(dim=1) * self.x.shape[2]).clamp(min=1)

    def repeat(self, times: int) -> "PlanTail":
        """Every row `times` times."""
        return PlanTail(self.x.repeat_interleave(times, 0), self.mask.repeat_interleave(times, 0))


@dataclass(frozen=True)
class PlanSampler:
    """Samples plans with a network, its objective and a recipe's `act` section."""

    model: ChunkModel
    objective: Objective[Any]
    act: ActRecipe

    @torch.no_grad()
    def __call__(
        self,
        context: Tensor,
        tail: PlanTail | None,
        budget: SamplingBudget,
        generator: torch.Generator,
        noise: Tensor | None = None,
    ) -> Samples:
        """Plans for these contexts [B, C, D]; a row that keeps its current plan takes no step.

        `noise` [B * samples, H, J] is the initial noise; None: it is drawn.
        """
        if tail is None or not self.act.keep_below or not isinstance(self.model, EnergyModel):
            return self._best(context, tail, budget, generator, noise)
        energy, gradient = self.model.gradient(context, tail.x)
        converged = gradient.square().mean(dim=(1, 2)).sqrt() < self.act.keep_below
        kept = converged & (tail.mask.sum(dim=1) >= self.act.execute)  # it must cover the ticks until the next plan
        if kept.all():
            return Samples(tail.x, energy[:, None], torch.zeros(len(tail.x), dtype=torch.int64), extra_evaluations=1)
        fresh = self._best(context, tail, budget, generator, noise)
        return Samples(
            torch.where(kept[:, None, None], tail.x, fresh.x),
            torch.where(kept[:, None], energy[:, None], fresh.energies),
            torch.where(kept, 0, fresh.steps_used),
            extra_evaluations=1,
        )

    def _best(
        self,
        context: Tensor,
        tail: PlanTail | None,
        budget: SamplingBudget,
        generator: torch.Generator,
        noise: Tensor | None,
    ) -> Samples:
        """Of several samples for each row, the one with the lowest cost: energy plus distance to the current plan."""
        times = max(budget.samples, self.act.samples)
        repeated = context.repeat_interleave(times, dim=0)
        tails = None if tail is None else tail.repeat(times)
        start = self._start(tails, generator, noise)
        samples = self.objective.sample(self.model, repeated, budget.steps, generator, start)
        if times == 1:
            return samples
        cost = samples.energies[:, -1].nan_to_num(nan=0.0, posinf=torch.inf) / self.model.size
        if tails is not None:
            cost = cost + self.act.closeness * tails.distance(samples.x)
        best = cost.view(-1, times).argmin(dim=1) + times * torch.arange(len(context))
        return Samples(samples.x[best], samples.energies[best], samples.steps_used[best])

    def _start(self, tail: PlanTail | None, generator: torch.Generator, noise: Tensor | None) -> Tensor | None:
        """Noise, blended with the current plan by the recipe's `warm_level`; None: the objective draws its own."""
        if tail is None or not self.act.warm_level:
            return noise
        noise = torch.randn(tail.x.shape, generator=generator) if noise is None else noise
        return torch.lerp(noise, tail.x, self.act.warm_level * tail.mask[..., None])
