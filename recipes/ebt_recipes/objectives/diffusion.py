"""Baseline: Diffusion Policy (arXiv 2303.04137) on this network, with noise levels and samplers of `diffusers`."""

from typing import Any

import torch
from torch import Tensor

from ebt_data.errors import ConfigError
from ebt_recipes.model.batch import Batch
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objective_recipe import DiffusionRecipe
from ebt_recipes.objectives.objective import Loss, loss_with_forecast, pair_with_noise, start_noise
from ebt_recipes.objectives.sampler import Samples

CLEAN_LIMIT = 3.0
"""Limit of a normalised chunk, in standard deviations: chunks are scaled by it here, not to -1 .. 1."""


class Diffusion:
    """Predicts the noise in a chunk."""

    def __init__(self, recipe: DiffusionRecipe) -> None:
        """Build the noise schedulers.

        Raises:
            ConfigError: `diffusers` is not installed.
        """
        self.recipe = recipe
        try:
            from diffusers.schedulers.scheduling_ddim import DDIMScheduler
            from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
        except ImportError as error:
            raise ConfigError(
                "A diffusion recipe needs diffusers", hint="pip install 'ebt-policy[baselines]'"
            ) from error
        options: dict[str, Any] = {
            "num_train_timesteps": recipe.levels,
            "beta_schedule": "squaredcos_cap_v2",
            "prediction_type": "epsilon",
            "clip_sample": True,
            "clip_sample_range": CLEAN_LIMIT,
        }
        self._noising: Any = DDPMScheduler(**options)
        self._ddim: Any = DDIMScheduler(**options, set_alpha_to_one=True)

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, self.recipe.noise_samples, generator)
        level = torch.randint(0, self.recipe.levels, (len(pairs.noise),), generator=generator)
        x = self._noising.add_noise(pairs.repeated_target, pairs.noise, level)
        predicted = model.field(pairs.repeated_context, x, level / self.recipe.levels)
        match = (predicted - pairs.noise).square().mean()
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
        """Sample by DDPM if every noise level is visited, by DDIM if some are skipped."""
        steps = self.recipe.steps if steps is None else steps
        if steps == 0:
            return Samples.without_energy(start_noise(model, context, generator, start), 0)
        scheduler = self._noising if steps >= self.recipe.levels else self._ddim
        scheduler.set_timesteps(steps)
        x = start_noise(model, context, generator, start)
        for level in scheduler.timesteps.tolist():
            noise = model.field(context, x, x.new_full((len(x),), level / self.recipe.levels))
            x = scheduler.step(noise, level, x, generator=generator).prev_sample
        return Samples.without_energy(x, steps)
