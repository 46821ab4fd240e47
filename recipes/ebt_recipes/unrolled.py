"""The paper's objective: descend the energy from noise, and regress every iterate to the demonstrated chunk."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.batch import Batch
from ebt_recipes.energy import EnergyModel
from ebt_recipes.objective import Loss, forecast_loss, weigh
from ebt_recipes.recipe import UnrolledRecipe
from ebt_recipes.sampler import GradientDescent, Samples


class UnrolledEBT:
    """EBT-Policy (arXiv 2510.27545), written from its description.

    Where the paper is silent: chunks are normalised by data statistics in place of the iterate's own size, the exponent
    of the energy-scaled step is clamped, and the averaged weights serve everything. Started from noise alone, the
    minimiser is the mean of all modes; `mixed_start` keeps them apart.
    """

    def __init__(self, recipe: UnrolledRecipe) -> None:
        self.recipe = recipe
        self.descent = GradientDescent(recipe.step_sizes, recipe.tolerance, recipe.momentum, recipe.energy_scaled)

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe = self.recipe
        context = model.encode(batch.observations)
        target = model.normalise(batch.chunk, batch.observations.joints["position"])
        many = target.repeat_interleave(recipe.noise_samples, dim=0)
        errors = self._errors(model, context.repeat_interleave(recipe.noise_samples, dim=0), many, generator)
        parts = {
            "iterate": torch.stack(errors).mean(),
            "last": errors[-1],
            "forecast": forecast_loss(model, context, batch, target),
        }
        return weigh(parts, {"iterate": 1.0, "last": 0.0, "forecast": recipe.forecast_weight})

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

    def _errors(self, model: EnergyModel, context: Tensor, target: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Mean squared error after each step."""
        recipe = self.recipe
        steps = recipe.steps + int(torch.randint(0, recipe.extra_steps + 1, (), generator=generator))
        x = torch.randn(target.shape, generator=generator)
        if recipe.mixed_start:
            x = torch.lerp(x, target, torch.rand((len(x), 1, 1), generator=generator))
        velocity = torch.zeros_like(x)
        errors = []
        for k in range(steps):
            if not recipe.unroll:
                x, velocity = x.detach(), velocity.detach()
            noise = recipe.langevin * (0.505 + 0.495 * math.cos(math.pi * k / steps))
            x = x + noise * torch.randn(x.shape, generator=generator)
            energy, slope = model.gradient(context, x + recipe.momentum * velocity)
            jitter = (2 * torch.rand((len(x), 1, 1), generator=generator) - 1) * math.log(recipe.step_jitter)
            size = recipe.step_size * jitter.exp() * self.descent.scale(energy, model.size)
            velocity = recipe.momentum * velocity - size * slope
            x = x + velocity
            errors.append(F.mse_loss(x, target))
        return errors
