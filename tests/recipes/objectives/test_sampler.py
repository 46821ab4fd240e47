"""Gradient descent: when a row stops, and the energies that it reports."""

import torch

from ebt_recipes.objectives.sampler import GradientDescent
from tests.recipes.objectives.conftest import JOINTS, toy, two_modes
from tests.recipes.objectives.conftest import TWO_MODES_HORIZON as HORIZON


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
