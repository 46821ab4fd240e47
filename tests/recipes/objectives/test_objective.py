"""The objectives reach their claimed minima."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.objectives.equilibrium import Decay, corrupt
from ebt_recipes.objectives.sampler import GradientDescent
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.training.learner import Learner

JOINTS, HORIZON = 2, 2


def toy(**objective: object) -> tuple[Recipe, EnergyModel]:
    sections = {
        "objective": {"kind": "equilibrium_matching", **objective},
        "model": {"width": 32, "layers": 1, "heads": 2},
        "observe": {"joints": ("position",)},
        "act": {"horizon": HORIZON, "relative": False},
        "training": {"learning_rate": 5e-3, "warmup_steps": 10, "ema": 0.98},
    }
    torch.manual_seed(0)
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    chunk = MeanStd(np.zeros((HORIZON, JOINTS), np.float32), np.ones((HORIZON, JOINTS), np.float32))
    recipe = parse_recipe({"name": "toy", **sections}, "test")
    return recipe, EnergyModel(recipe, (), JOINTS, Statistics({"position": unit}, chunk))


def two_modes(rows: int, seed: int) -> Batch:
    """The same observation, followed half of the time by all +1 and half by all -1."""
    side = torch.randint(0, 2, (rows, 1, 1), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    observations = Observations({}, {"position": torch.zeros(rows, JOINTS)}, {})
    return Batch(observations, side.expand(rows, HORIZON, JOINTS), torch.ones(rows, HORIZON), torch.zeros(rows, JOINTS))


def learn(recipe: Recipe, model: EnergyModel, updates: int) -> Learner:
    learner = Learner(recipe, model)
    for step in range(updates):
        learner.update(two_modes(64, step), step / updates)
    return learner


def near_modes(chunks: torch.Tensor) -> tuple[float, float]:
    """Fractions of chunks within .25 of all +1, and of all -1."""
    up, down = ((chunks - side).abs().amax(dim=(1, 2)) < 0.25 for side in (1, -1))
    return float(up.float().mean()), float(down.float().mean())


@pytest.mark.parametrize(
    ("objective", "step_size"),
    [
        ({"kind": "equilibrium_matching"}, 0.2),
        ({"kind": "unrolled_ebt", "langevin": (0.0, 0.0), "step_jitter": 1.0, "steps": 1}, 1.0),
    ],
)
def test_two_modes_stay_apart(objective: dict[str, object], step_size: float) -> None:
    recipe, model = toy(**objective)
    learner = learn(recipe, model, 350)
    context = learner.averaged.encode(two_modes(200, 0).observations)
    start = torch.randn(200, HORIZON, JOINTS, generator=torch.Generator().manual_seed(9))
    samples = GradientDescent((step_size,)).run(learner.averaged, context, start, steps=25).x
    up, down = near_modes(samples)
    assert min(up, down) > 0.25 and up + down > 0.8  # their mean, which regression finds, is near neither


def test_started_from_noise_alone_the_unrolled_objective_finds_the_mean() -> None:
    recipe, model = toy(kind="unrolled_ebt", mixed_start=False, langevin=(0.0, 0.0), step_jitter=1.0)
    learner = learn(recipe, model, 150)
    context = learner.averaged.encode(two_modes(64, 0).observations)
    samples = learner.objective.sample(learner.averaged, context, None, torch.Generator().manual_seed(9)).x
    assert samples.abs().mean() < 0.3


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


def test_the_first_step_with_a_small_gradient_is_a_rows_last() -> None:
    _, model = toy()
    context = model.encode(two_modes(3, 0).observations)
    start = torch.randn(3, HORIZON, JOINTS, generator=torch.Generator().manual_seed(1))
    samples = GradientDescent((0.1,), tolerance=1e9).run(model, context, start, steps=5)
    once = GradientDescent((0.1,)).run(model, context, start, steps=1)
    assert (samples.steps_used == 1).all() and torch.equal(samples.x, once.x)
    assert samples.energies.shape == (3, 6) and (samples.energies[:, 1:] == once.energies[:, 1:]).all()


def test_a_row_that_stops_before_others_keeps_the_energy_of_where_it_stopped() -> None:
    _, model = toy()
    context = model.encode(two_modes(8, 0).observations)
    start = torch.randn(8, HORIZON, JOINTS, generator=torch.Generator().manual_seed(1))
    gradients = model.gradient(context, start)[1].square().mean(dim=(1, 2)).sqrt()
    samples = GradientDescent((0.1,), tolerance=float(gradients.detach().median())).run(model, context, start, steps=4)
    assert 0 < (samples.steps_used == 1).sum() < 8
    last = samples.energies.gather(1, samples.steps_used[:, None])[:, 0]
    torch.testing.assert_close(last, model.energy(context, samples.x).detach())


def test_more_steps_than_step_sizes_repeat_the_last() -> None:
    _, model = toy()
    context = model.encode(two_modes(2, 0).observations)
    start = torch.randn(2, HORIZON, JOINTS, generator=torch.Generator().manual_seed(1))
    given = GradientDescent((0.5, 0.1, 0.1, 0.1)).run(model, context, start)
    repeated = GradientDescent((0.5, 0.1)).run(model, context, start, steps=4)
    assert torch.equal(given.x, repeated.x)


def test_corruption_is_measured_in_standard_deviations() -> None:
    features = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * 50
    wrong, severity = corrupt(features, torch.Generator().manual_seed(1))
    assert ((wrong != features).any(dim=1) == (severity > 0)).all()
    assert 0.05 < severity.median() < 2
