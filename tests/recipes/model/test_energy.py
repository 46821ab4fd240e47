"""An energy is one number per row, and its gradient is the derivative of that number."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import Recipe, parse_recipe

JOINTS, HORIZON = 3, 4


def make_recipe(**sections: object) -> Recipe:
    small = {"model": {"width": 16, "heads": 2}, "encoder": {"image_size": 16, "channels": (4, 4, 4)}}
    return parse_recipe({"name": "small", "act": {"horizon": HORIZON}, **small, **sections}, "test")


def make_model(recipe: Recipe) -> EnergyModel:
    torch.manual_seed(0)
    spread = MeanStd(np.full(JOINTS, 0.1, np.float32), np.full(JOINTS, 0.5, np.float32))
    chunk = MeanStd(np.full((HORIZON, JOINTS), 0.2, np.float32), np.full((HORIZON, JOINTS), 0.3, np.float32))
    return EnergyModel(recipe, ("top",), JOINTS, Statistics({"position": spread, "effort": spread}, chunk))


def observe(rows: int) -> Observations:
    generator = torch.Generator().manual_seed(1)
    images = {"top": torch.randint(0, 256, (rows, 16, 16, 3), generator=generator, dtype=torch.uint8)}
    joints = {name: torch.randn(rows, JOINTS, generator=generator) for name in ("position", "effort")}
    return Observations(images, joints, {})


@pytest.fixture
def model() -> EnergyModel:
    return make_model(make_recipe())


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


@pytest.mark.parametrize("relative", [True, False])
def test_denormalise_inverts_normalise(relative: bool) -> None:
    model = make_model(make_recipe(act={"horizon": HORIZON, "relative": relative}))
    chunk, pose = torch.randn(2, HORIZON, JOINTS), torch.randn(2, JOINTS)
    torch.testing.assert_close(model.denormalise(model.normalise(chunk, pose), pose), chunk)


def test_a_relative_chunk_does_not_depend_on_the_pose() -> None:
    model = make_model(make_recipe())
    chunk, pose = torch.randn(2, HORIZON, JOINTS), torch.randn(2, JOINTS)
    torch.testing.assert_close(model.normalise(chunk + 0.7, pose + 0.7), model.normalise(chunk, pose))
