"""A baseline: Diffusion Policy (arXiv 2303.04137) on this network; noise levels and samplers are `diffusers`'."""

from typing import Any

import torch
from torch import Tensor

from ebt_data.errors import ConfigError
from ebt_recipes.model.batch import Batch
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objective_recipe import DiffusionRecipe
from ebt_recipes.objectives.objective import Loss, pair_up, start_noise, with_forecast
from ebt_recipes.objectives.sampler import Samples

CLEAN_LIMIT = 3.0
"""Of a normalised chunk, in standard deviations: chunks are scaled by their spread here, not to -1 .. 1."""


class Diffusion:
    """Predicts the noise in a chunk."""

    def __init__(self, recipe: DiffusionRecipe) -> None:
        """Build the noise levels.

        Raises:
            ConfigError: `diffusers` is not installed.
        """
        self.recipe = recipe
        try:
            from diffusers.schedulers.scheduling_ddim import DDIMScheduler
            from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
        except ImportError as error:
            raise ConfigError("A diffusion recipe needs diffusers", hint="pip install 'ebt[baselines]'") from error
        levels: dict[str, Any] = {
            "num_train_timesteps": recipe.levels,
            "beta_schedule": "squaredcos_cap_v2",
            "prediction_type": "epsilon",
            "clip_sample": True,
            "clip_sample_range": CLEAN_LIMIT,
        }
        self._noising: Any = DDPMScheduler(**levels)
        self._ddim: Any = DDIMScheduler(**levels, set_alpha_to_one=True)

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_up(model, model.encode(batch.observations), batch, self.recipe.noise_samples, generator)
        level = torch.randint(0, self.recipe.levels, (len(pairs.noise),), generator=generator)
        x = self._noising.add_noise(pairs.many_target, pairs.noise, level)
        found = model.field(pairs.many_context, x, level / self.recipe.levels)
        match = (found - pairs.noise).square().mean()
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
        """DDPM where every level is visited, DDIM where some are left out."""
        steps = self.recipe.steps if steps is None else steps
        if steps == 0:
            return Samples.without_energy(start_noise(model, context, generator, start), 0)
        stepper = self._noising if steps >= self.recipe.levels else self._ddim
        stepper.set_timesteps(steps)
        x = start_noise(model, context, generator, start)
        for level in stepper.timesteps.tolist():
            noise = model.field(context, x, x.new_full((len(x),), level / self.recipe.levels))
            x = stepper.step(noise, level, x, generator=generator).prev_sample
        return Samples.without_energy(x, steps)
