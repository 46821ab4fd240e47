"""One plan for each of several observations: where to start, how often, and which of the ends to keep.

Everything here works on fields as on energies, so that a policy without one can be given the same chances.

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
class Effort:
    """How hard to think about one plan."""

    steps: int | None = None
    """PlanService steps; None takes the recipe's."""
    samples: int = 1
    """Descents from different noise; the lowest energy wins."""


@dataclass(frozen=True)
class Tail:
    """What is left of the plans in use, as candidates for the new observations."""

    x: Tensor
    """[B, H, J] normalised for the new pose; ticks past the old plan's end repeat its last."""
    known: Tensor
    """[B, H] 1 where the old plan still speaks, 0 past its end; all 0 in a row without one."""

    def distance(self, x_BHJ: Tensor) -> Tensor:
        """Mean squared distance [B] of chunks to what is known; 0 where nothing is."""
        apart = ((x_BHJ - self.x).square() * self.known[..., None]).sum(dim=(1, 2))
        return apart / (self.known.sum(dim=1) * self.x.shape[2]).clamp(min=1)

    def repeat(self, times: int) -> "Tail":
        """Every row so many times."""
        return Tail(self.x.repeat_interleave(times, 0), self.known.repeat_interleave(times, 0))


@dataclass(frozen=True)
class PlanSampler:
    """A network, its objective, and how a recipe wants plans to be made."""

    model: ChunkModel
    objective: Objective[Any]
    act: ActRecipe

    @torch.no_grad()
    def __call__(
        self,
        context: Tensor,
        tail: Tail | None,
        effort: Effort,
        generator: torch.Generator,
        noise: Tensor | None = None,
    ) -> Samples:
        """Plans for these contexts [B, C, D]; a row that goes on with the plan that it has took no step.

        `noise` [B * samples, H, J] is what descents start from, where it is not to be drawn.
        """
        if tail is None or not self.act.keep_below or not isinstance(self.model, EnergyModel):
            return self._best(context, tail, effort, generator, noise)
        energy, slope = self.model.gradient(context, tail.x)
        rests = slope.square().mean(dim=(1, 2)).sqrt() < self.act.keep_below
        kept = rests & (tail.known.sum(dim=1) >= self.act.execute)  # it must last until the next plan is due
        if kept.all():
            return Samples(tail.x, energy[:, None], torch.zeros(len(tail.x), dtype=torch.int64), looks=1)
        fresh = self._best(context, tail, effort, generator, noise)
        return Samples(
            torch.where(kept[:, None, None], tail.x, fresh.x),
            torch.where(kept[:, None], energy[:, None], fresh.energies),
            torch.where(kept, 0, fresh.steps_used),
            looks=1,
        )

    def _best(
        self, context: Tensor, tail: Tail | None, effort: Effort, generator: torch.Generator, noise: Tensor | None
    ) -> Samples:
        """Of several descents for each row the one with the lowest energy, or the nearest to the plan in use."""
        times = max(effort.samples, self.act.samples)
        many = context.repeat_interleave(times, dim=0)
        tails = None if tail is None else tail.repeat(times)
        start = self._start(tails, generator, noise)
        found = self.objective.sample(self.model, many, effort.steps, generator, start)
        if times == 1:
            return found
        cost = found.energies[:, -1].nan_to_num(nan=0.0, posinf=torch.inf) / self.model.size
        if tails is not None:
            cost = cost + self.act.closeness * tails.distance(found.x)
        best = cost.view(-1, times).argmin(dim=1) + times * torch.arange(len(context))
        return Samples(found.x[best], found.energies[best], found.steps_used[best])

    def _start(self, tail: Tail | None, generator: torch.Generator, noise: Tensor | None) -> Tensor | None:
        """Noise, blended with the plan in use as far as the recipe says; None: the objective's own noise."""
        if tail is None or not self.act.warm_level:
            return noise
        noise = torch.randn(tail.x.shape, generator=generator) if noise is None else noise
        return torch.lerp(noise, tail.x, self.act.warm_level * tail.known[..., None])
