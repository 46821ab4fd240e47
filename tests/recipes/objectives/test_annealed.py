"""An energy for every noise level: its gradient, its schedule, and the way from noise to data."""

import pytest
import torch

from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.objective_recipe import AnnealedRecipe
from ebt_recipes.objectives.annealed import AnnealedEnergies
from tests.recipes.objectives.conftest import HORIZON, JOINTS, make


def test_the_gradient_of_a_timed_energy_is_that_of_autograd() -> None:
    _, model = make("annealed")
    assert isinstance(model, EnergyModel)
    model = model.double()
    generator = torch.Generator().manual_seed(5)
    context = torch.randn(3, model.tokens, 16, generator=generator, dtype=torch.float64)
    x = torch.randn(3, HORIZON, JOINTS, generator=generator, dtype=torch.float64, requires_grad=True)
    time = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    energy, gradient = model.gradient(context, x, time)
    expected = model.energy(context, x, time)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close((energy, gradient), (expected, expected_gradient), rtol=1e-12, atol=1e-12)


def test_the_signal_rises_from_noise_to_data() -> None:
    signal = AnnealedEnergies(AnnealedRecipe()).signal(torch.linspace(1, 0, 11))
    assert (signal.diff() > 0).all()
    assert 0 < signal[0] < 1e-3 and 0.999 < signal[-1] < 1


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_with_the_exact_noise_as_gradient_the_data_are_reached_in_any_number_of_steps(steps: int) -> None:
    recipe, model = make("annealed")
    assert isinstance(recipe.objective, AnnealedRecipe) and isinstance(model, EnergyModel)
    objective, model.bowl = AnnealedEnergies(recipe.objective), 0.0
    data, start = torch.rand(3, HORIZON, JOINTS) * 2 - 1, torch.randn(3, HORIZON, JOINTS)
    noises: list[torch.Tensor] = []

    def noise_in(x: torch.Tensor, context: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s = objective.signal(time)[:, None, None]
        noises.append((x - s.sqrt() * data) / (1 - s).sqrt())
        return torch.zeros(len(x)), noises[-1]

    model.core = noise_in
    samples = objective.sample(model, torch.zeros(3, model.tokens, 16), steps, torch.Generator(), start)
    torch.testing.assert_close(samples.x, data, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(torch.stack(noises), noises[0].expand(steps, -1, -1, -1))  # the noise stays the same
    assert samples.energies.shape == (3, steps + 1) and (samples.steps_used == steps).all()
