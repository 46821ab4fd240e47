"""Baseline: flow matching along straight lines (arXiv 2210.02747), x_t = t a + (1 - t) e with velocity a - e."""

import torch
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objective_recipe import FlowRecipe
from ebt_recipes.objectives.objective import Loss, loss_with_forecast, pair_with_noise, start_noise
from ebt_recipes.objectives.sampler import Samples


class Flow:
    """Trains the velocity at every time, and integrates it from noise in Euler steps."""

    def __init__(self, recipe: FlowRecipe) -> None:
        self.recipe = recipe

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, self.recipe.noise_samples, generator)
        time = torch.rand(len(pairs.noise), generator=generator, dtype=pairs.noise.dtype)
        x = torch.lerp(pairs.noise, pairs.repeated_target, time[:, None, None])
        velocity = model.field(pairs.repeated_context, x, time)
        match = (velocity - (pairs.repeated_target - pairs.noise)).square().mean()
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
        x = start_noise(model, context, generator, start)
        steps = self.recipe.steps if steps is None else steps
        for step in range(steps):
            x = x + model.field(context, x, x.new_full((len(x),), step / steps)) / steps
        return Samples.without_energy(x, steps)
