"""From noise to a plan by walking down the energy."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ebt_recipes.energy import EnergyModel


@dataclass(frozen=True)
class Samples:
    """What a descent found. Shapes: B rows, H ticks, J joints, K steps."""

    x: Tensor
    """[B, H, J] normalised; `EnergyModel.denormalise` gives goals."""
    energies: Tensor
    """[B, K + 1] before the first and after every step; a row that stopped early repeats its last."""
    steps_used: Tensor
    """[B] int."""


@dataclass(frozen=True)
class GradientDescent:
    """x <- x - size * dE/dx, with what the paper adds to it."""

    step_sizes: Sequence[float]
    """One a step; asked for more steps, the last repeats."""
    tolerance: float = 0.0
    """A row stops once its slope's root mean square is below."""
    momentum: float = 0.0
    """Nesterov's; 0 is plain descent."""
    energy_scaled: bool = False
    """Multiply the step by exp(energy per dimension), the energy clamped to [-3, 3] so that it can't run away."""

    @torch.no_grad()
    def run(self, model: EnergyModel, context: Tensor, x: Tensor, steps: int | None = None) -> Samples:
        """Descend from `x` [B, H, J], `steps` times or once for each step size."""
        steps = len(self.step_sizes) if steps is None else steps
        velocity = torch.zeros_like(x)
        running = torch.ones(len(x), dtype=torch.bool, device=x.device)
        used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        energies: list[Tensor] = []
        for k in range(steps):
            energy, slope = model.gradient(context, x + self.momentum * velocity)
            energies.append(torch.where(running, energy, energies[-1]) if energies else energy)
            running = running & (slope.square().mean(dim=(1, 2)).sqrt() >= self.tolerance)
            if not running.any():
                break
            size = self.step_sizes[min(k, len(self.step_sizes) - 1)] * self.scale(energy, model.size)
            velocity = self.momentum * velocity - size * slope
            x = torch.where(running[:, None, None], x + velocity, x)
            used += running
        energies.append(model.energy(context, x))
        energies += energies[-1:] * (steps + 1 - len(energies))
        return Samples(x, torch.stack(energies, dim=1), used)

    def scale(self, energy_B: Tensor, size: int) -> Tensor:
        """Factor of the step, [B, 1, 1]."""
        factor = (energy_B / size).clamp(-3, 3).exp() if self.energy_scaled else torch.ones_like(energy_B)
        return factor[:, None, None]
