"""Equilibrium matching: the target gradient and its integral, step sizes, and corrupted observations."""

import torch

from ebt_recipes.objectives.equilibrium import Decay, corrupt
from tests.recipes.objectives.conftest import JOINTS, learn, near_modes, toy, two_modes
from tests.recipes.objectives.conftest import TWO_MODES_HORIZON as HORIZON


def test_the_energy_falls_along_a_trained_descent() -> None:
    recipe, model = toy()
    learner = learn(recipe, model, 100)
    context = learner.averaged.encode(two_modes(32, 0).observations)
    samples = learner.objective.sample(learner.averaged, context, 8, torch.Generator().manual_seed(9))
    assert samples.energies.shape == (32, 9) and (samples.steps_used == 8).all()
    assert (samples.energies[:, -1] < samples.energies[:, 0]).all()


def test_the_potential_is_the_integral_of_the_magnitude() -> None:
    decay = Decay(0.7)
    level = torch.linspace(0, 1, 2001, dtype=torch.float64)
    magnitude = decay.magnitude(level)
    area = torch.cumulative_trapezoid(magnitude, level)
    torch.testing.assert_close(decay.potential(level)[1:], area[-1] - area, atol=1e-6, rtol=1e-6)


def test_the_energy_determines_the_step_to_the_data() -> None:
    decay = Decay(0.8)
    level = torch.linspace(0.0, 0.99, 100, dtype=torch.float64)
    away = 2 * torch.randn(100, HORIZON, JOINTS, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).sign()
    energy = away.square().sum(dim=(1, 2)) * decay.potential(level)
    gradient = away * decay.magnitude(level)[:, None, None]
    # x_t lies (1 - t) * away from the data, and a step of this size along the gradient has that length.
    step = decay.step_to_data(energy, gradient)
    torch.testing.assert_close(step * gradient, (1 - level)[:, None, None] * away)


def test_steps_sized_by_the_energy_find_the_modes_in_three_steps() -> None:
    recipe, model = toy(kind="equilibrium_matching", stride="level")
    learner = learn(recipe, model, 350)
    context = learner.averaged.encode(two_modes(200, 0).observations)
    up, down = near_modes(learner.objective.sample(learner.averaged, context, 3, torch.Generator().manual_seed(9)).x)
    assert min(up, down) > 0.25 and up + down > 0.8


def test_corruption_is_measured_in_standard_deviations() -> None:
    features = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * 50
    wrong, severity = corrupt(features, torch.Generator().manual_seed(1))
    assert ((wrong != features).any(dim=1) == (severity > 0)).all()
    assert 0.05 < severity.median() < 2
