"""Equilibrium matching: one energy for all noise levels, whose minima are the data.

x_t = t a + (1 - t) e; the gradient is regressed to (e - a) c(t), which is 0 at t = 1, so that descent converges to
data: arXiv 2510.02300, "truncated decay" with lambda 1.

Shapes: B rows, H ticks, J joints, C context tokens, D width, F features.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objective_recipe import EquilibriumFieldRecipe, EquilibriumMatchingRecipe
from ebt_recipes.objectives.objective import (
    Loss,
    Pairs,
    forecast_loss,
    loss_with_forecast,
    pair_with_noise,
    start_noise,
    weighted_loss,
)
from ebt_recipes.objectives.sampler import GradientDescent, Samples

DECAYED = 0.5
"""Mean square of a gradient, about 2 at noise; below this value, t is after the knee."""


@dataclass(frozen=True)
class Decay:
    """c(t), the magnitude of the target gradient, and its integral."""

    knee: float
    """c is 1 up to this t, then falls linearly to 0 at t = 1."""

    def magnitude(self, level: Tensor) -> Tensor:
        """c(t)."""
        return ((1 - level) / (1 - self.knee)).clamp(max=1)

    def potential(self, level: Tensor) -> Tensor:
        """C(t), the integral of c from t to 1: the energy of x_t is |e - a|^2 C(t) if only one chunk fits."""
        knee = self.knee
        return torch.where(level < knee, (1 + knee) / 2 - level, (1 - level).square() / (2 * (1 - knee)))

    def step_to_data(self, energy_B: Tensor, gradient_BHJ: Tensor) -> Tensor:
        """Step size along the gradient that reaches the data, (1 - t) / c(t), from the energy's value, [B, 1, 1].

        If one chunk fits, energy and gradient are |e - a|^2 C(t) and (e - a) c(t), so that energy / |gradient|^2 is
        (1 + knee) / 2 - t before the knee and (1 - knee) / 2 after it; adding (1 - knee) / 2 gives the step size in
        both. A gradient much smaller than at noise is after the knee, whatever the energy: the energy is never quite 0
        if several chunks fit, and a step five times too long would not converge.
        """
        square = gradient_BHJ.square().mean(dim=(1, 2))
        ratio = energy_B / gradient_BHJ[0].numel() / square.clamp(min=1e-9)
        step = (ratio + (1 - self.knee) / 2).clamp(1 - self.knee, 1.0)
        return torch.where(square < DECAYED, 1 - self.knee, step)[:, None, None]


@dataclass(frozen=True)
class AdaptiveDescent(GradientDescent):
    """Step size from the energy's value; if `even`, divided evenly among the remaining steps."""

    decay: Decay = Decay(0.8)
    even: bool = False

    def size(self, step: int, steps: int, energy_B: Tensor, gradient_BHJ: Tensor) -> Tensor:
        """Step size [B, 1, 1]."""
        return self.decay.step_to_data(energy_B, gradient_BHJ) / (steps - step if self.even else 1)


class EquilibriumMatching:
    """Matches the gradient of a scalar energy; two more terms give the energy's value a meaning."""

    def __init__(self, recipe: EquilibriumMatchingRecipe) -> None:
        self.recipe = recipe
        self.decay = decay = Decay(recipe.flat_until)
        fixed = GradientDescent(recipe.step_sizes, recipe.tolerance)
        even = recipe.stride == "even"
        self.descent = (
            fixed if recipe.stride == "fixed" else AdaptiveDescent(recipe.step_sizes, recipe.tolerance, decay, even)
        )

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe = self.recipe
        features = model.encoder.features(batch.observations)
        pairs = pair_with_noise(model, model.encoder.embed(features), batch, recipe.noise_samples, generator)
        level, x, away = _between(pairs, generator)
        energy, gradient = model.gradient(pairs.repeated_context, x)
        distance = away.square().mean(dim=(1, 2))
        parts = {
            "match": (gradient - away * self.decay.magnitude(level)[:, None, None]).square().mean(),
            "level": self._level(energy / model.size, distance * self.decay.potential(level)),
            "forecast": forecast_loss(model, pairs.context, batch, pairs.target),
        }
        if recipe.negative_weight:
            # Every second row only: for all rows, this term is a sixth of an update's cost.
            blends = x[:: 2 * recipe.noise_samples]
            parts["negative"] = _negative(model, features.detach()[::2], pairs.target[::2], blends, generator)
        weights = {"match": 1.0, "level": recipe.level_weight, "forecast": recipe.forecast_weight}
        return weighted_loss(parts, weights | {"negative": recipe.negative_weight})

    def sample(
        self,
        model: EnergyModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        return self.descent.run(model, context, start_noise(model, context, generator, start), steps)

    @staticmethod
    def _level(energy: Tensor, potential: Tensor) -> Tensor:
        """Both per dimension; divided so that low energies near the data have the same weight as high ones."""
        return ((energy - potential).square() / (potential + 0.05)).mean()


class EquilibriumField:
    """The same target for a vector field, an ablation of the energy."""

    def __init__(self, recipe: EquilibriumFieldRecipe) -> None:
        self.recipe = recipe
        self.decay = Decay(recipe.flat_until)

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, self.recipe.noise_samples, generator)
        level, x, away = _between(pairs, generator)
        gradient = model.field(pairs.repeated_context, x)
        match = (gradient - away * self.decay.magnitude(level)[:, None, None]).square().mean()
        return loss_with_forecast("match", match, model, batch, pairs, self.recipe.forecast_weight)

    @torch.no_grad()
    def sample(
        self,
        model: FieldModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        sizes, x = self.recipe.step_sizes, start_noise(model, context, generator, start)
        running = torch.ones(len(x), dtype=torch.bool, device=x.device)
        used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        steps = len(sizes) if steps is None else steps
        for k in range(steps):
            gradient = model.field(context, x)
            x = torch.where(running[:, None, None], x - sizes[min(k, len(sizes) - 1)] * gradient, x)
            used += running
            running = running & (gradient.square().mean(dim=(1, 2)).sqrt() >= self.recipe.tolerance)
            if not running.any():
                break
        return Samples(x, x.new_full((len(x), steps + 1), torch.nan), used)


def _between(pairs: Pairs, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A level t [B], x_t [B, H, J] at it, and the vector from the data to the noise [B, H, J]."""
    level = torch.rand(len(pairs.noise), generator=generator, dtype=pairs.noise.dtype)
    return (
        level,
        torch.lerp(pairs.noise, pairs.repeated_target, level[:, None, None]),
        pairs.noise - pairs.repeated_target,
    )


def _negative(
    model: EnergyModel, features: Tensor, target: Tensor, blends: Tensor, generator: torch.Generator
) -> Tensor:
    """Requires a higher energy under a corrupted observation, by a margin that grows with the corruption."""
    wrong, severity = corrupt(features, generator)
    context = model.encoder.embed(torch.cat([features, wrong]))
    coin = torch.rand((len(target), 1, 1), generator=generator) < 0.5
    x = torch.where(coin, target, blends)
    clean, corrupted = model.energy(context, torch.cat([x, x])).chunk(2)
    return F.softplus(clean - corrupted + 2 * (severity / 0.3).clamp(max=3)).mean()


def corrupt(features_BF: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Corrupted features, and the size of each row's corruption in standard deviations of the batch.

    Half the rows get noise on a random half of their features (sigma log-uniform in .1 .. 1), half have features
    taken from another row with probability .4: settings from our second round of prototypes.
    """
    rows, width = features_BF.shape
    scale = features_BF.std(dim=0, correction=0) + 1e-3
    sigma = 10 ** -torch.rand((rows, 1), generator=generator)
    chance = torch.rand((rows, width), generator=generator)
    noise = sigma * scale * torch.randn((rows, width), generator=generator) * (chance < 0.5)
    other = features_BF[torch.randperm(rows, generator=generator)]
    coin = torch.rand((rows, 1), generator=generator) < 0.5
    wrong = torch.where(coin, features_BF + noise, torch.where(chance < 0.4, other, features_BF))
    return wrong, ((wrong - features_BF) / scale).square().mean(dim=1).sqrt()
