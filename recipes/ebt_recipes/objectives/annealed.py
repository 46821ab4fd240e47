"""An energy for every noise level, after IRED (arXiv 2406.11179): steeper and narrower towards the data.

x_s = sqrt(s) a + sqrt(1 - s) e with the signal s of a cosine; the gradient is regressed to the noise e, so that
(x - sqrt(1 - s) * gradient) / sqrt(s) estimates the data.
"""

import torch
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.objective_recipe import AnnealedRecipe
from ebt_recipes.objectives.objective import Loss, loss_with_forecast, pair_with_noise, start_noise
from ebt_recipes.objectives.sampler import Samples

CLEAN_LIMIT = 3.0
"""Limit of a normalised chunk, in standard deviations, as in the diffusion baseline."""


class AnnealedEnergies:
    """Descends from noise to data with one step per visited noise level; unlike IRED it accepts every step."""

    def __init__(self, recipe: AnnealedRecipe) -> None:
        self.recipe = recipe

    def signal(self, time: Tensor) -> Tensor:
        """s at time 0 (data) .. 1 (noise): arXiv 2102.09672, equation 17."""
        return torch.cos((time + 0.008) / 1.008 * torch.pi / 2).square().clamp(1e-4, 1 - 1e-4)

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe = self.recipe
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, recipe.noise_samples, generator)
        level = torch.randint(1, recipe.levels + 1, (len(pairs.noise),), generator=generator)
        time = level.to(pairs.noise.dtype) / recipe.levels
        s = self.signal(time)[:, None, None]
        x = s.sqrt() * pairs.repeated_target + (1 - s).sqrt() * pairs.noise
        _, gradient = model.gradient(pairs.repeated_context, x, time)
        match = (gradient - pairs.noise).square().mean()
        return loss_with_forecast("match", match, model, batch, pairs, recipe.forecast_weight)

    @torch.no_grad()
    def sample(
        self,
        model: EnergyModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        """Sample from noise. Each energy is that of its own noise level; only the last two are comparable."""
        recipe = self.recipe
        x = start_noise(model, context, generator, start)
        steps = recipe.steps if steps is None else steps
        times = torch.linspace(recipe.levels, 0, steps + 1).round() / recipe.levels
        energies = []
        for now, then in times.unfold(0, 2, 1).tolist():
            time, after = x.new_full((len(x),), now), x.new_full((len(x),), then)
            energy, gradient = model.gradient(context, x, time)
            energies.append(energy)
            s, next_s = self.signal(time)[:, None, None], self.signal(after)[:, None, None]
            clean = ((x - (1 - s).sqrt() * gradient) / s.sqrt()).clamp(-CLEAN_LIMIT, CLEAN_LIMIT)
            x = clean if then == 0 else next_s.sqrt() * clean + (1 - next_s).sqrt() * gradient
        energies.append(model.energy(context, x, x.new_full((len(x),), 1 / recipe.levels)))
        return Samples(x, torch.stack(energies, dim=1), torch.full((len(x),), steps))
