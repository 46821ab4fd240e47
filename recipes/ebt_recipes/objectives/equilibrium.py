"""Equilibrium matching: one landscape for all noise levels, whose resting places are the data.

x_t = t a + (1 - t) e; the slope is matched to (e - a) c(t), which is 0 at t = 1, so that descent comes to rest at data:
arXiv 2510.02300, "truncated decay" with lambda 1.

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
from ebt_recipes.objectives.objective import Loss, Pairs, forecast_loss, pair_up, start_noise, weigh, with_forecast
from ebt_recipes.objectives.sampler import GradientDescent, Samples

FADED = 0.5
"""Mean square of a slope, of 2 or so at noise: below, it is after the knee."""


@dataclass(frozen=True)
class Decay:
    """c(t) and its integral."""

    knee: float
    """c is 1 until here, then falls linearly to 0 at t = 1."""

    def speed(self, level: Tensor) -> Tensor:
        """c(t)."""
        return ((1 - level) / (1 - self.knee)).clamp(max=1)

    def potential(self, level: Tensor) -> Tensor:
        """C(t), the integral of c from t to 1: the energy of x_t is |e - a|^2 C(t) where only one chunk is right."""
        knee = self.knee
        return torch.where(level < knee, (1 + knee) / 2 - level, (1 - level).square() / (2 * (1 - knee)))

    def reach(self, energy_B: Tensor, slope_BHJ: Tensor) -> Tensor:
        """How far along the slope the data lie, (1 - t) / c(t), by the energy's level, [B, 1, 1].

        Where one chunk is right, energy and slope are |e - a|^2 C(t) and (e - a) c(t), so that energy / |slope|^2 is
        (1 + knee) / 2 - t before the knee and (1 - knee) / 2 after it: (1 - knee) / 2 more is the reach in both. A slope
        much shorter than noise has begun to fade, so it is after the knee whatever the level says: a level is never
        quite 0 where several chunks are right, and a step five times too long would not come to rest.
        """
        square = slope_BHJ.square().mean(dim=(1, 2))
        level = energy_B / slope_BHJ[0].numel() / square.clamp(min=1e-9)
        far = (level + (1 - self.knee) / 2).clamp(1 - self.knee, 1.0)
        return torch.where(square < FADED, 1 - self.knee, far)[:, None, None]


@dataclass(frozen=True)
class LevelDescent(GradientDescent):
    """Descends as far as the energy's level says; where `even`, in as many even shares as there are steps left."""

    decay: Decay = Decay(0.8)
    even: bool = False

    def size(self, step: int, steps: int, energy_B: Tensor, slope_BHJ: Tensor) -> Tensor:
        """[B, 1, 1]."""
        return self.decay.reach(energy_B, slope_BHJ) / (steps - step if self.even else 1)


class EquilibriumMatching:
    """The slope of a scalar energy is matched, and two more terms give its level a meaning."""

    def __init__(self, recipe: EquilibriumMatchingRecipe) -> None:
        self.recipe = recipe
        self.decay = decay = Decay(recipe.flat_until)
        fixed = GradientDescent(recipe.step_sizes, recipe.tolerance)
        even = recipe.stride == "even"
        self.descent = (
            fixed if recipe.stride == "fixed" else LevelDescent(recipe.step_sizes, recipe.tolerance, decay, even)
        )

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe = self.recipe
        features = model.encoder.features(batch.observations)
        pairs = pair_up(model, model.encoder.embed(features), batch, recipe.noise_samples, generator)
        level, x, away = _between(pairs, generator)
        energy, slope = model.gradient(pairs.many_context, x)
        distance = away.square().mean(dim=(1, 2))
        parts = {
            "match": (slope - away * self.decay.speed(level)[:, None, None]).square().mean(),
            "level": self._level(energy / model.size, distance * self.decay.potential(level)),
            "forecast": forecast_loss(model, pairs.context, batch, pairs.target),
        }
        if recipe.negative_weight:
            # Every second row, because this term is a sixth of an update's cost otherwise.
            blends = x[:: 2 * recipe.noise_samples]
            parts["negative"] = _negative(model, features.detach()[::2], pairs.target[::2], blends, generator)
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
        return self.descent.run(model, context, start_noise(model, context, generator, start), steps)

    @staticmethod
    def _level(energy: Tensor, potential: Tensor) -> Tensor:
        """Both per dimension; divided so that the low energies near the data count as much as the high ones."""
        return ((energy - potential).square() / (potential + 0.05)).mean()


class EquilibriumField:
    """The same target for a vector field: what the energy costs, and what it is worth."""

    def __init__(self, recipe: EquilibriumFieldRecipe) -> None:
        self.recipe = recipe
        self.decay = Decay(recipe.flat_until)

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_up(model, model.encode(batch.observations), batch, self.recipe.noise_samples, generator)
        level, x, away = _between(pairs, generator)
        slope = model.field(pairs.many_context, x)
        match = (slope - away * self.decay.speed(level)[:, None, None]).square().mean()
        return with_forecast("match", match, model, batch, pairs, self.recipe.forecast_weight)

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
            slope = model.field(context, x)
            x = torch.where(running[:, None, None], x - sizes[min(k, len(sizes) - 1)] * slope, x)
            used += running
            running = running & (slope.square().mean(dim=(1, 2)).sqrt() >= self.recipe.tolerance)
            if not running.any():
                break
        return Samples(x, x.new_full((len(x), steps + 1), torch.nan), used)


def _between(pairs: Pairs, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A level t [B], x_t [B, H, J] at it, and the way from the data to the noise [B, H, J]."""
    level = torch.rand(len(pairs.noise), generator=generator, dtype=pairs.noise.dtype)
    return level, torch.lerp(pairs.noise, pairs.many_target, level[:, None, None]), pairs.noise - pairs.many_target


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
