"""The unrolled objective, and its two published configurations."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.recipe import Recipe, load_recipe
from ebt_recipes.training.learner import Learner
from tests.recipes.objectives.conftest import HORIZON, JOINTS, learn, make, toy, toy_batch, two_modes


def test_started_from_noise_alone_the_unrolled_objective_finds_the_mean() -> None:
    recipe, model = toy(kind="unrolled_ebt", mixed_start=False, langevin=(0.0, 0.0), step_jitter=1.0)
    learner = learn(recipe, model, 150)
    context = learner.averaged.encode(two_modes(64, 0).observations)
    samples = learner.objective.sample(learner.averaged, context, None, torch.Generator().manual_seed(9)).x
    assert samples.abs().mean() < 0.3


@pytest.mark.parametrize("name", ["ebt_october", "ebt_november"])
def test_the_published_configurations_load_and_can_take_a_step(name: str) -> None:
    published = load_recipe(name)
    recipe, _ = make("unrolled_ebt")
    recipe = recipe.model_copy(update={"objective": published.objective, "model": replace_bowl(recipe, published)})
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    model = build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))
    assert isinstance(model, EnergyModel) and model.bowl == 0
    learner = Learner(recipe, model)
    losses = learner.update(toy_batch(16, 0), done=0.0)
    assert all(torch.isfinite(value) for value in losses.values())
    assert published.objective.default_steps == {"ebt_october": 2, "ebt_november": 20}[name]


def replace_bowl(recipe: Recipe, published: Recipe) -> object:
    return recipe.model.model_copy(update={"bowl": published.model.bowl})


def test_back_propagating_through_the_chain_has_another_gradient_than_detaching() -> None:
    _, model = make("unrolled_ebt")
    batch = toy_batch(16, 1)
    gradients = []
    for unroll in (False, True):
        recipe, _ = make("unrolled_ebt", unroll=unroll, steps=3, extra_steps=0, langevin=(0.0, 0.0), step_jitter=1.0)
        loss = build_objective(recipe.objective)(model, batch, torch.Generator().manual_seed(2))
        gradients.append(torch.autograd.grad(loss.total, model.body.embed.weight)[0])
        assert loss.parts["iterate"] > 0
    assert not torch.allclose(*gradients)


def test_only_the_last_iterate_has_a_loss_if_the_recipe_says_so() -> None:
    _, model = make("unrolled_ebt")
    recipe, _ = make("unrolled_ebt", last_only=True, forecast_weight=0.0)
    loss = build_objective(recipe.objective)(model, toy_batch(16, 1), torch.Generator().manual_seed(2))
    torch.testing.assert_close(loss.total.detach(), loss.parts["last"])


def test_a_row_is_scaled_by_its_own_size() -> None:
    """The reference code divides by the root mean square over the batch; here a huge neighbour changes nothing."""
    recipe, model = make("unrolled_ebt")
    objective = build_objective(recipe.objective)
    context, start = torch.randn(2, model.tokens, 16), torch.randn(2, HORIZON, JOINTS)
    loud = torch.cat([start[:1], 100 * start[1:]])
    quiet, beside = (objective.sample(model, context, 2, torch.Generator(), each).x[0] for each in (start, loud))
    torch.testing.assert_close(quiet, beside, rtol=1e-5, atol=1e-5)
