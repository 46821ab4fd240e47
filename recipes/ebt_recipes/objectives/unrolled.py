"""The paper's objective: descend the energy from noise, and regress every iterate to the demonstrated chunk."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.objective_recipe import UnrolledRecipe
from ebt_recipes.objectives.objective import Loss, forecast_loss, pair_with_noise, start_noise, weighted_loss
from ebt_recipes.objectives.sampler import Samples


@dataclass(frozen=True)
class Iterate:
    """State of a descent. Shapes: B rows, H ticks, J joints."""

    x: Tensor
    """[B, H, J]"""
    velocity: Tensor
    """[B, H, J], the momentum."""
    energy: Tensor
    """[B] before the last step."""
    gradient: Tensor
    """[B, H, J] before the last step."""


class UnrolledEBT:
    """EBT-Policy (arXiv 2510.27545), written from its description.

    Choices where the paper is silent or couples the rows of a batch: every row is divided by its own root mean square,
    the exponent of the energy-scaled step is clamped, and the averaged weights are used for all inference. From noise
    alone, the minimiser is the mean of all modes; `mixed_start` keeps them apart.
    """

    def __init__(self, recipe: UnrolledRecipe) -> None:
        self.recipe = recipe

    def __call__(self, model: EnergyModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe = self.recipe
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, recipe.noise_samples, generator)
        x = pairs.noise
        if recipe.mixed_start:
            x = torch.lerp(x, pairs.repeated_target, torch.rand((len(x), 1, 1), generator=generator))
        errors = self._errors(model, pairs.repeated_context, x, pairs.repeated_target, generator)
        parts = {
            "iterate": torch.stack(errors).mean(),
            "last": errors[-1],
            "forecast": forecast_loss(model, pairs.context, batch, pairs.target),
        }
        first, last = (0.0, 1.0) if recipe.last_only else (1.0, 0.0)
        return weighted_loss(parts, {"iterate": first, "last": last, "forecast": recipe.forecast_weight})

    @torch.no_grad()
    def sample(
        self,
        model: EnergyModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        """A row's last step is the first with a gradient below the tolerance; the reference code takes one more."""
        sizes = self.recipe.step_sizes
        x = start_noise(model, context, generator, start)
        steps = len(sizes) if steps is None else steps
        velocity = torch.zeros_like(x)
        moving = moved = torch.ones(len(x), dtype=torch.bool, device=x.device)
        used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        energies: list[Tensor] = []
        for k in range(steps):
            size = x.new_tensor(sizes[min(k, len(sizes) - 1)])
            after = self._step(model, context, x, velocity, size)
            energies.append(torch.where(moved, after.energy, energies[-1]) if energies else after.energy)
            x, velocity = (
                torch.where(moving[:, None, None], new, old) for new, old in ((after.x, x), (after.velocity, velocity))
            )
            used += moving
            moved = moving
            moving = moving & (after.gradient.square().mean(dim=(1, 2)).sqrt() >= self.recipe.tolerance)
            if not moving.any():
                break
        energies.append(model.energy(context, x))
        energies += energies[-1:] * (steps + 1 - len(energies))
        return Samples(x, torch.stack(energies, dim=1), used)

    def _errors(
        self, model: EnergyModel, context: Tensor, x: Tensor, target: Tensor, generator: torch.Generator
    ) -> list[Tensor]:
        """Mean squared error after each step."""
        recipe = self.recipe
        steps = recipe.steps + int(torch.randint(0, recipe.extra_steps + 1, (), generator=generator))
        velocity = torch.zeros_like(x)
        low, high = recipe.langevin
        errors = []
        for k in range(steps):
            if not recipe.unroll:
                x, velocity = x.detach(), velocity.detach()
            noise = low + 0.5 * (high - low) * (1 + math.cos(math.pi * k / steps))
            spread = recipe.step_jitter
            jitter = 1 / spread + (spread - 1 / spread) * torch.rand((len(x), 1, 1), generator=generator)
            size = recipe.step_size * jitter
            after = self._step(model, context, x, velocity, size, noise * torch.randn(x.shape, generator=generator))
            x, velocity = after.x, after.velocity
            errors.append(F.mse_loss(x, target))
        return errors

    def _step(
        self,
        model: EnergyModel,
        context: Tensor,
        x: Tensor,
        velocity: Tensor,
        size: Tensor,
        noise: Tensor | float = 0.0,
    ) -> Iterate:
        recipe = self.recipe
        if recipe.rms_norm:
            x = x / x.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-3)
        x = x + noise
        energy, gradient = model.gradient(context, x + recipe.momentum * velocity)
        velocity = recipe.momentum * velocity - size * self._scale(energy, model.size) * gradient
        return Iterate(x + velocity, velocity, energy, gradient)

    def _scale(self, energy_B: Tensor, size: int) -> Tensor:
        """Factor of the step size, [B, 1, 1]."""
        recipe = self.recipe
        if not recipe.energy_scaled:
            return torch.ones_like(energy_B)[:, None, None]
        energy = energy_B if recipe.scale_learns else energy_B.detach()
        return ((energy / size).clamp(-3, 3).exp() / recipe.temperature)[:, None, None]
