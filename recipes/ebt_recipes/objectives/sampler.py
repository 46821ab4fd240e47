"""From noise to a plan by walking down the energy.

Shapes: B rows, H ticks, J joints, K steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ebt_recipes.model.energy import EnergyModel


@dataclass(frozen=True)
class Samples:
    """What a sampler found."""

    x: Tensor
    """[B, H, J] normalised; `ChunkModel.denormalise` gives goals."""
    energies: Tensor
    """[B, K + 1] before the first and after every step; a row that stopped early repeats its last. NaN without one."""
    steps_used: Tensor
    """[B] int."""
    looks: Tensor | int = 0
    """Slopes [B] that were computed beside those of the steps."""

    @property
    def slopes(self) -> Tensor:
        """[B] int: what a plan costs."""
        return self.steps_used + self.looks

    @classmethod
    def without_energy(cls, x: Tensor, steps: int) -> "Samples":
        """Of a sampler that has none."""
        return cls(x, x.new_full((len(x), steps + 1), torch.nan), torch.full((len(x),), steps))


@dataclass(frozen=True)
class GradientDescent:
    """x <- x - size * dE/dx."""

    step_sizes: Sequence[float]
    """One a step; asked for more steps, the last repeats."""
    tolerance: float = 0.0
    """A row's last step is the first along a slope whose root mean square is below: what is paid for is used."""

    @torch.no_grad()
    def run(self, model: EnergyModel, context: Tensor, x: Tensor, steps: int | None = None) -> Samples:
        """Descend from `x` [B, H, J], `steps` times or once for each step size."""
        steps = len(self.step_sizes) if steps is None else steps
        running = moved = torch.ones(len(x), dtype=torch.bool, device=x.device)
        used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        energies: list[Tensor] = []
        for k in range(steps):
            energy, slope = model.gradient(context, x)
            energies.append(torch.where(moved, energy, energies[-1]) if energies else energy)
            size = self.size(k, steps, energy, slope)
            x = torch.where(running[:, None, None], x - size * slope, x)
            used += running
            moved = running
            running = running & (slope.square().mean(dim=(1, 2)).sqrt() >= self.tolerance)
            if not running.any():
                break
        energies.append(model.energy(context, x))
        energies += energies[-1:] * (steps + 1 - len(energies))
        return Samples(x, torch.stack(energies, dim=1), used)

    def size(self, step: int, steps: int, energy_B: Tensor, slope_BHJ: Tensor) -> Tensor:
        """Of step `step` of `steps`: a scalar, or [B, 1, 1]."""
        return energy_B.new_tensor(self.step_sizes[min(step, len(self.step_sizes) - 1)])
