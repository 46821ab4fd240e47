"""Samples plans by gradient descent on the energy from noise.

Shapes: B rows, H ticks, J joints, K steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ebt_recipes.model.energy import EnergyModel


@dataclass(frozen=True)
class Samples:
    """Result of a sampler."""

    x: Tensor
    """[B, H, J] normalised; `ChunkModel.denormalise` gives goals."""
    energies: Tensor
    """[B, K + 1] before the first step and after each; a stopped row repeats its last. NaN without an energy."""
    steps_used: Tensor
    """[B] int."""
    extra_evaluations: Tensor | int = 0
    """Gradients [B] that were evaluated besides those of the steps."""

    @property
    def gradient_evaluations(self) -> Tensor:
        """[B] int: the computational cost of a plan."""
        return self.steps_used + self.extra_evaluations

    @classmethod
    def without_energy(cls, x: Tensor, steps: int) -> "Samples":
        """The result of a sampler that has no energy."""
        return cls(x, x.new_full((len(x), steps + 1), torch.nan), torch.full((len(x),), steps))


@dataclass(frozen=True)
class GradientDescent:
    """x <- x - size * dE/dx."""

    step_sizes: Sequence[float]
    """One per step; further steps repeat the last."""
    tolerance: float = 0.0
    """A row's last step is the first whose gradient has a root mean square below this; that step is still taken."""

    @torch.no_grad()
    def run(self, model: EnergyModel, context: Tensor, x: Tensor, steps: int | None = None) -> Samples:
        """Descend from `x` [B, H, J], `steps` times or once for each step size."""
        steps = len(self.step_sizes) if steps is None else steps
        running = moved = torch.ones(len(x), dtype=torch.bool, device=x.device)
        used = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        energies: list[Tensor] = []
        for k in range(steps):
            energy, gradient = model.gradient(context, x)
            energies.append(torch.where(moved, energy, energies[-1]) if energies else energy)
            size = self.size(k, steps, energy, gradient)
            x = torch.where(running[:, None, None], x - size * gradient, x)
            used += running
            moved = running
            running = running & (gradient.square().mean(dim=(1, 2)).sqrt() >= self.tolerance)
            if not running.any():
                break
        energies.append(model.energy(context, x))
        energies += energies[-1:] * (steps + 1 - len(energies))
        return Samples(x, torch.stack(energies, dim=1), used)

    def size(self, step: int, steps: int, energy_B: Tensor, gradient_BHJ: Tensor) -> Tensor:
        """Size of step `step` of `steps`: a scalar, or [B, 1, 1]."""
        return energy_B.new_tensor(self.step_sizes[min(step, len(self.step_sizes) - 1)])
