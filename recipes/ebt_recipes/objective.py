"""What a policy is trained to do: the objective protocol, and equilibrium matching with an explicit energy.

Shapes: B rows, H ticks, J joints, C context tokens, D width, F features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.batch import Batch
from ebt_recipes.energy import EnergyModel
from ebt_recipes.recipe import EquilibriumMatchingRecipe
from ebt_recipes.sampler import GradientDescent, Samples


@dataclass(frozen=True)
class Loss:
    """A scalar to descend, and what it is made of."""

    total: Tensor
    parts: Mapping[str, Tensor]
    """Detached and unweighted."""


class Objective(Protocol):
    """A way to train an energy and the way to sample from it that belongs to it."""

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss: ...

    def sample(
        self,
        model: EnergyModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        """Plans for these contexts [B, C, D], from noise or from `start` [B, H, J]; None: the recipe's own steps."""
        ...


class EquilibriumMatching:
    """The slope of the energy at a blend of noise and data points from the data to the noise, and fades at the data.

    x_t = t a + (1 - t) e; the slope is matched to (e - a) c(t), which is 0 at t = 1, so data are where descent rests
    and one landscape serves every level: arXiv 2510.02300, "truncated decay" with lambda 1.
    """

    def __init__(self, recipe: EquilibriumMatchingRecipe) -> None:
        self.recipe = recipe
        self.descent = GradientDescent(recipe.step_sizes, recipe.tolerance)

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe = self.recipe
        features = model.encoder.features(batch.observations)
        context = model.encoder.embed(features)
        target = model.normalise(batch.chunk, batch.observations.joints["position"])
        many = target.repeat_interleave(recipe.noise_samples, dim=0)
        noise = torch.randn(many.shape, generator=generator)
        level = torch.rand(len(many), generator=generator)
        x = torch.lerp(noise, many, level[:, None, None])
        energy, slope = model.gradient(context.repeat_interleave(recipe.noise_samples, dim=0), x)
        away = noise - many
        parts = {
            "match": (slope - away * self.speed(level)[:, None, None]).square().mean(),
            "level": self._level(energy / model.size, away.square().mean(dim=(1, 2)) * self.potential(level)),
            "forecast": forecast_loss(model, context, batch, target),
        }
        if recipe.negative_weight:
            # Every second row, because this term is a sixth of an update's cost otherwise.
            blends = x[:: 2 * recipe.noise_samples]
            parts["negative"] = self._negative(model, features.detach()[::2], target[::2], blends, generator)
        weights = {"match": 1.0, "level": recipe.level_weight, "forecast": recipe.forecast_weight}
        return weigh(parts, weights | {"negative": recipe.negative_weight})

    def sample(
        self,
        model: EnergyModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        x = torch.randn(len(context), model.horizon, model.joints, generator=generator) if start is None else start
        return self.descent.run(model, context, x, steps)

    def speed(self, level: Tensor) -> Tensor:
        """c(t)."""
        return ((1 - level) / (1 - self.recipe.flat_until)).clamp(max=1)

    def potential(self, level: Tensor) -> Tensor:
        """C(t), the integral of c from t to 1: the energy of x_t is |e - a|^2 C(t) where only one chunk is right."""
        knee = self.recipe.flat_until
        return torch.where(level < knee, (1 + knee) / 2 - level, (1 - level).square() / (2 * (1 - knee)))

    @staticmethod
    def _level(energy: Tensor, potential: Tensor) -> Tensor:
        """Both per dimension; divided so that the low energies near the data count as much as the high ones."""
        return ((energy - potential).square() / (potential + 0.05)).mean()

    @staticmethod
    def _negative(
        model: EnergyModel, features: Tensor, target: Tensor, blends: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The chunk must cost more under a corrupted observation, by a margin that grows with the corruption."""
        wrong, severity = corrupt(features, generator)
        context = model.encoder.embed(torch.cat([features, wrong]))
        coin = torch.rand((len(target), 1, 1), generator=generator) < 0.5
        x = torch.where(coin, target, blends)
        right, corrupted = model.energy(context, torch.cat([x, x])).chunk(2)
        return F.softplus(right - corrupted + 2 * (severity / 0.3).clamp(max=3)).mean()


def weigh(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Loss:
    """The weighted sum of the parts."""
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return Loss(total, {name: part.detach() for name, part in parts.items()})


def forecast_loss(model: EnergyModel, context: Tensor, batch: Batch, target: Tensor) -> Tensor:
    """How well the context alone foretells the pose at the next gripper event and the mean of the chunk.

    Both come from the demonstration's own joints; they give the vision tower a clear first-order signal.
    """
    event, mean = model.foresee(context)
    pose = model.encoder.standard_position(batch.event)
    return F.mse_loss(event, pose) + F.mse_loss(mean, target.mean(dim=1))


def corrupt(features_BF: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Features that belong to no observation, and how far off each row is, in standard deviations of the batch.

    Half the rows get noise on a random half of their features (sigma log-uniform in .1 .. 1), half have features
    taken from another row with probability .4: the settings of our second round of prototypes.
    """
    rows, width = features_BF.shape
    scale = features_BF.std(dim=0, correction=0) + 1e-3
    sigma = 10 ** -torch.rand((rows, 1), generator=generator)
    some = torch.rand((rows, width), generator=generator)
    noise = sigma * scale * torch.randn((rows, width), generator=generator) * (some < 0.5)
    other = features_BF[torch.randperm(rows, generator=generator)]
    coin = torch.rand((rows, 1), generator=generator) < 0.5
    wrong = torch.where(coin, features_BF + noise, torch.where(some < 0.4, other, features_BF))
    return wrong, ((wrong - features_BF) / scale).square().mean(dim=1).sqrt()
