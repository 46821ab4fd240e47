"""Scores of a plan that can be monitored, by name; higher is worse.

SCORES: name -> Callable[[Scorer, PlanContext], Tensor [B]]
Scorer(model, reference)                                          computes the scores
PlanContext(time_s, position, features, context, samples, tail)    one plan for each of B observations

`jump`, `neighbour` and `elapsed` need no energy: they are baselines for the scores of an energy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.objectives.plan_sampler import PlanTail
from ebt_recipes.objectives.sampler import Samples
from ebt_recipes.uncertainty.reference import Reference


@dataclass(frozen=True)
class PlanContext:
    """Plans and the inputs they were sampled from. Shapes: B rows, C context tokens, D width, F features."""

    time_s: Tensor
    """[B] since the episode started."""
    position: Tensor
    """[B, J] rad, the pose that a relative chunk refers to."""
    features: Tensor
    """[B, F]"""
    context: Tensor
    """[B, C, D]"""
    samples: Samples
    tail: PlanTail
    """Remainder of the previous plans; all masked out for a first plan."""


@dataclass(frozen=True)
class Scorer:
    """A policy's network and its reference statistics."""

    model: ChunkModel
    reference: Reference | None

    @torch.no_grad()
    def __call__(self, names: tuple[str, ...], plan_context: PlanContext) -> dict[str, Tensor]:
        """Scores [B] by name, all finite: for a first plan, `jump` is 0; `tail` and `slope` are of the plan itself."""
        return {name: SCORES[name](self, plan_context) for name in names}

    def energy(self, plan_context: PlanContext) -> Tensor:
        return plan_context.samples.energies[:, -1]

    def excess(self, plan_context: PlanContext) -> Tensor:
        return self._require_reference().excess(plan_context.features, self.energy(plan_context))

    def strangeness(self, plan_context: PlanContext) -> Tensor:
        return self._require_reference().strangeness(
            self.model.body.hidden(plan_context.samples.x, plan_context.context)
        )

    def neighbour(self, plan_context: PlanContext) -> Tensor:
        return self._require_reference().distance(plan_context.features)

    def descent(self, plan_context: PlanContext) -> Tensor:
        return plan_context.samples.energies[:, -1] - plan_context.samples.energies[:, 0]

    def tail(self, plan_context: PlanContext) -> Tensor:
        return self._previous_plan(plan_context)[0]

    def slope(self, plan_context: PlanContext) -> Tensor:
        """Root mean square gradient of the previous plan's energy, given the new observation."""
        return self._previous_plan(plan_context)[1].square().mean(dim=(1, 2)).sqrt()

    def jump(self, plan_context: PlanContext) -> Tensor:
        return plan_context.tail.distance(plan_context.samples.x).sqrt()

    def _previous_plan(self, plan_context: PlanContext) -> tuple[Tensor, Tensor]:
        """Energy [B] and its gradient [B, H, J] at the previous plan; at the new one where there is none."""
        exists = plan_context.tail.mask.any(dim=1)[:, None, None]
        x = torch.where(exists, plan_context.tail.x, plan_context.samples.x)
        assert isinstance(self.model, EnergyModel), "a vector field has no score that needs an energy"
        return self.model.gradient(plan_context.context, x)

    def _require_reference(self) -> Reference:
        assert self.reference is not None, "a run without normal.safetensors has no score that needs it"
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


def available_scores(model: ChunkModel, reference: Reference | None) -> tuple[str, ...]:
    """Names of the scores that a run can compute."""
    return tuple(
        name
        for name in SCORES
        if (isinstance(model, EnergyModel) or name not in NEED_ENERGY)
        and (reference is not None or name not in NEED_REFERENCE)
    )
