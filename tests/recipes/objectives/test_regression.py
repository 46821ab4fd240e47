"""Regression and MIP: baselines without a distribution."""

import pytest
import torch

from ebt_recipes.objectives.build import build_objective
from tests.recipes.objectives.conftest import HORIZON, JOINTS, make, toy_batch


@pytest.mark.parametrize("kind", ["regression", "mip"])
def test_a_prediction_does_not_depend_on_noise(kind: str) -> None:
    recipe, model = make(kind)
    objective, context = build_objective(recipe.objective), torch.randn(3, model.tokens, 16)
    starts = (None, torch.ones(3, HORIZON, JOINTS))
    first, second = (
        objective.sample(model, context, None, torch.Generator().manual_seed(seed), start).x
        for seed, start in enumerate(starts)
    )
    assert torch.equal(first, second)


def test_the_error_of_a_constant_prediction_is_its_distance_from_the_chunk() -> None:
    recipe, model = make("regression")
    batch = toy_batch(8, seed=1)
    model.core = lambda x, context, time: torch.full_like(x, 0.5)
    loss = build_objective(recipe.objective)(model, batch, torch.Generator().manual_seed(2))
    torch.testing.assert_close(loss.parts["error"], (batch.chunk - 0.5).square().mean())


def test_mip_predicts_again_from_its_first_prediction_at_the_second_time() -> None:
    recipe, model = make("mip", second_time=0.75)
    calls: list[tuple[float, float]] = []

    def counted(x: torch.Tensor, context: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        calls.append((float(x.mean()), float(time.mean())))
        return x + 1

    model.core = counted
    context = torch.zeros(2, model.tokens, 16)
    samples = build_objective(recipe.objective).sample(model, context, None, torch.Generator())
    assert calls == [(0.0, 0.0), (1.0, 0.75)]
    assert (samples.x == 2).all() and (samples.steps_used == 2).all()
