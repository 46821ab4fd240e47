"""The gradient that the transformer writes out is that of autograd."""

import torch

from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.transformer import ChunkTransformer
from ebt_recipes.recipe import ModelRecipe
from tests.recipes.model.conftest import HORIZON, JOINTS


def test_the_gradient_and_its_backward_pass_are_those_of_autograd(model: EnergyModel) -> None:
    model = model.double()
    generator = torch.Generator().manual_seed(4)
    context = torch.randn(3, 2, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, HORIZON, JOINTS, generator=generator, dtype=torch.float64, requires_grad=True)
    energy, gradient = model.gradient(context, x)
    expected_energy = model.energy(context, x)
    (expected,) = torch.autograd.grad(expected_energy.sum(), x, create_graph=True)
    torch.testing.assert_close((energy, gradient), (expected_energy, expected), rtol=1e-12, atol=1e-12)

    inputs = [*model.body.parameters(), context]
    gradients, expected_gradients = (
        torch.autograd.grad(each.pow(3).sum() + level.square().sum(), inputs, materialize_grads=True)
        for each, level in ((gradient, energy), (expected, expected_energy))
    )
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-9, atol=1e-9)


def test_the_gradient_of_the_sum_of_several_outputs_is_that_of_autograd() -> None:
    torch.manual_seed(0)
    body = ChunkTransformer(ModelRecipe(width=16, heads=2), HORIZON, JOINTS, outputs=5, timed=True).double()
    x = torch.randn(2, HORIZON, JOINTS, dtype=torch.float64, requires_grad=True)
    context, time = torch.randn(2, 3, 16, dtype=torch.float64), torch.tensor([0.2, 0.9], dtype=torch.float64)
    total, gradient = body.sum_and_gradient(x, context, time)
    outputs = body(x, context, time)
    assert outputs.shape == (2, HORIZON, 5)
    (expected,) = torch.autograd.grad(outputs.sum(), x)
    torch.testing.assert_close((total, gradient), (outputs.sum(dim=(1, 2)), expected), rtol=1e-12, atol=1e-12)
