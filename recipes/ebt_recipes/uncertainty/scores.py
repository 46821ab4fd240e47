"""What can be watched of a plan, by name; higher is worse.

SCORES: name -> Callable[[Scorer, PlanContext], Tensor [B]]
Scorer(model, normal)                        what the scores ask
PlanContext(time_s, position, features, context, samples, tail)    one plan for each of B observations

`jump`, `neighbour` and `elapsed` need no energy: they are what an energy's scores must beat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.objectives.plan_sampler import Tail
from ebt_recipes.objectives.sampler import Samples
from ebt_recipes.uncertainty.reference import Reference


@dataclass(frozen=True)
class PlanContext:
    """Plans and what they were made from. Shapes: B rows, C context tokens, D width, F features."""

    time_s: Tensor
    """[B] since the episode began."""
    position: Tensor
    """[B, J] rad, the pose that a relative chunk is measured from."""
    features: Tensor
    """[B, F]"""
    context: Tensor
    """[B, C, D]"""
    samples: Samples
    tail: Tail
    """What is left of the plans before; nothing known in the first."""


@dataclass(frozen=True)
class Scorer:
    """A policy's network and what is normal for it."""

    model: ChunkModel
    reference: Reference | None

    @torch.no_grad()
    def __call__(self, names: tuple[str, ...], plan_context: PlanContext) -> dict[str, Tensor]:
        """[B] each. All are finite, also of a first plan: what compares with the plan before is then 0, or of this one."""
        return {name: SCORES[name](self, plan_context) for name in names}

    def energy(self, plan_context: PlanContext) -> Tensor:
        return plan_context.samples.energies[:, -1]

    def excess(self, plan_context: PlanContext) -> Tensor:
        return self._known().excess(plan_context.features, self.energy(plan_context))

    def strangeness(self, plan_context: PlanContext) -> Tensor:
        return self._known().strangeness(self.model.body.hidden(plan_context.samples.x, plan_context.context))

    def neighbour(self, plan_context: PlanContext) -> Tensor:
        return self._known().distance(plan_context.features)

    def descent(self, plan_context: PlanContext) -> Tensor:
        return plan_context.samples.energies[:, -1] - plan_context.samples.energies[:, 0]

    def tail(self, plan_context: PlanContext) -> Tensor:
        return self._old_plan(plan_context)[0]

    def slope(self, plan_context: PlanContext) -> Tensor:
        """Of the plan before under what is seen now: how much it wants to change."""
        return self._old_plan(plan_context)[1].square().mean(dim=(1, 2)).sqrt()

    def jump(self, plan_context: PlanContext) -> Tensor:
        return plan_context.tail.distance(plan_context.samples.x).sqrt()

    def _old_plan(self, plan_context: PlanContext) -> tuple[Tensor, Tensor]:
        """Energy [B] and slope [B, H, J] of the plan before; of this one where there was none."""
        there = plan_context.tail.known.any(dim=1)[:, None, None]
        x = torch.where(there, plan_context.tail.x, plan_context.samples.x)
        assert isinstance(self.model, EnergyModel), "a field has no score that asks for an energy"
        return self.model.gradient(plan_context.context, x)

    def _known(self) -> Reference:
        assert self.reference is not None, "a run without normal.safetensors offers no score that asks for it"
        return self.reference


SCORES: Mapping[str, Callable[[Scorer, PlanContext], Tensor]] = {
    "energy": Scorer.energy,
    "excess": Scorer.excess,
    "strangeness": Scorer.strangeness,
    "neighbour": Scorer.neighbour,
    "tail": Scorer.tail,
    "slope": Scorer.slope,
    "descent": Scorer.descent,
    "jump": Scorer.jump,
    "elapsed": lambda _, plan_context: plan_context.time_s,
}
NEED_ENERGY = frozenset({"energy", "excess", "tail", "slope", "descent"})
NEED_REFERENCE = frozenset({"excess", "strangeness", "neighbour"})


def offered(model: ChunkModel, reference: Reference | None) -> tuple[str, ...]:
    """Names of the scores that a run can give."""
    return tuple(
        name
        for name in SCORES
        if (isinstance(model, EnergyModel) or name not in NEED_ENERGY)
        and (reference is not None or name not in NEED_REFERENCE)
    )
