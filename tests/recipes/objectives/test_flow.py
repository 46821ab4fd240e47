"""Flow matching: the velocity in training, and its integration."""

import pytest
import torch

from ebt_recipes.objectives.build import build_objective
from tests.recipes.objectives.conftest import HORIZON, JOINTS, make, toy_batch


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_a_straight_line_ends_at_the_data_in_any_number_of_steps(steps: int) -> None:
    recipe, model = make("flow")
    data, start = torch.randn(2, 3, HORIZON, JOINTS)
    # The velocity towards the data depends on the time, but is constant along a straight line.
    model.core = lambda x, context, time: (data - x) / (1 - time)[:, None, None]
    context = torch.zeros(3, model.tokens, 16)
    samples = build_objective(recipe.objective).sample(model, context, steps, torch.Generator(), start)
    torch.testing.assert_close(samples.x, data, rtol=1e-4, atol=1e-4)


def test_the_exact_velocity_has_no_loss() -> None:
    recipe, model = make("flow", noise_samples=1)
    batch = toy_batch(8, seed=1)
    # On the line from noise to data, the velocity is what is left to go, over the time that is left.
    model.core = lambda x, context, time: (batch.chunk - x) / (1 - time)[:, None, None]
    loss = build_objective(recipe.objective)(model, batch, torch.Generator().manual_seed(2))
    assert loss.parts["match"] < 1e-6 < loss.parts["forecast"]
