"""An energy is one number per row, and its gradient is the derivative of that number."""

import numpy as np
import torch

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.energy import EnergyModel
from tests.recipes.model.conftest import HORIZON, JOINTS, observe


def test_an_energy_does_not_depend_on_the_rest_of_the_batch(model: EnergyModel) -> None:
    observations, x = observe(5), torch.randn(5, HORIZON, JOINTS, generator=torch.Generator().manual_seed(2))
    together, gradients = model.gradient(model.encode(observations), x)
    first = Observations(
        {"top": observations.images["top"][:1]}, {name: rows[:1] for name, rows in observations.joints.items()}, {}
    )
    alone, gradient = model.gradient(model.encode(first), x[:1])
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients[:1], gradient, rtol=1e-4, atol=1e-4)


def test_the_gradient_is_the_derivative_of_the_energy(model: EnergyModel) -> None:
    model = model.double()
    generator = torch.Generator().manual_seed(3)
    context = torch.randn(2, 3, 16, generator=generator, dtype=torch.float64)
    x = torch.randn(2, HORIZON, JOINTS, generator=generator, dtype=torch.float64)
    energy, gradient = model.gradient(context, x)
    assert energy.shape == (2,)
    for place in np.ndindex(HORIZON, JOINTS):
        nudge = torch.zeros_like(x)
        nudge[(slice(None), *place)] = 1e-5
        difference = (model.energy(context, x + nudge) - model.energy(context, x - nudge)) / 2e-5
        torch.testing.assert_close(gradient[(slice(None), *place)], difference.detach(), rtol=1e-6, atol=1e-8)


def test_planning_works_without_gradientsand_keeps_no_graph(model: EnergyModel) -> None:
    with torch.inference_mode():
        energy, gradient = model.gradient(model.encode(observe(2)), torch.randn(2, HORIZON, JOINTS))
    assert not energy.requires_grad and not gradient.requires_grad


def test_the_vision_encoder_is_trained_only_through_the_context(model: EnergyModel) -> None:
    context = model.encode(observe(2))
    _, gradient = model.gradient(context.detach(), torch.randn(2, HORIZON, JOINTS))
    gradient.square().sum().backward()
    assert all(weight.grad is None for weight in model.encoder.towers.parameters())
    assert model.body.embed.weight.grad is not None
