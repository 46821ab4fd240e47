"""What every objective promises, whatever it learns: rows never mix, samples have a shape, and training helps."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.field import FieldModel
from ebt_recipes.model.normalization import Spread, Statistics
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.recipe import Recipe, load_recipe, parse_recipe
from ebt_recipes.training.learner import Learner

JOINTS, HORIZON = 2, 4
KINDS: dict[str, dict[str, object]] = {
    "equilibrium_matching": {"stride": "level"},
    "unrolled_ebt": {"rms_norm": True, "momentum": 0.9, "energy_scaled": True, "temperature": 2.0},
    "annealed": {},
    "equilibrium_field": {},
    "regression": {},
    "mip": {},
    "flow": {},
    "diffusion": {"levels": 20},
}
ENERGIES = {"equilibrium_matching", "unrolled_ebt", "annealed"}


def make(kind: str, **objective: object) -> tuple[Recipe, ChunkModel]:
    sections = {
        "objective": {"kind": kind, **KINDS[kind], **objective},
        "model": {"width": 16, "layers": 1, "heads": 2},
        "act": {"horizon": HORIZON, "relative": False},
        "training": {"learning_rate": 3e-3, "warmup_steps": 5, "shards": 1, "ema": 0.9},
    }
    recipe = parse_recipe({"name": kind, **sections}, "test")
    unit = Spread(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    torch.manual_seed(0)
    return recipe, build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))


def lesson(rows: int, seed: int) -> Batch:
    """Each joint goes to where the observation says, a little further every tick."""
    place = torch.randn(rows, JOINTS, generator=torch.Generator().manual_seed(seed))
    chunk = place[:, None] * torch.linspace(0.25, 1, HORIZON)[:, None]
    return Batch(Observations({}, {"position": place}, {}), chunk, torch.ones(rows, HORIZON), place)


@pytest.mark.parametrize("kind", KINDS)
def test_an_objective_has_the_network_that_it_learns_with(kind: str) -> None:
    assert isinstance(make(kind)[1], EnergyModel if kind in ENERGIES else FieldModel)


@pytest.mark.parametrize("kind", KINDS)
def test_training_brings_samples_nearer_to_what_was_shown(kind: str) -> None:
    recipe, model = make(kind)
    learner = Learner(recipe, model)

    def error() -> float:
        batch = lesson(64, seed=999)
        with torch.no_grad():
            context = learner.averaged.encode(batch.observations)
        found = learner.objective.sample(learner.averaged, context, None, torch.Generator().manual_seed(1))
        return float((found.x - batch.chunk).square().mean())

    before = error()
    for step in range(120):
        learner.update(lesson(32, step), done=0.0)
    assert error() < 0.6 * before


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_does_not_depend_on_who_else_is_planned_for(kind: str) -> None:
    recipe, model = make(kind)
    model, objective = model.double(), build_objective(recipe.objective)
    generator = torch.Generator().manual_seed(3)
    context = torch.randn(5, model.tokens, 16, generator=generator, dtype=torch.float64)
    start = torch.randn(5, HORIZON, JOINTS, generator=generator, dtype=torch.float64)
    together = objective.sample(model, context, 3, torch.Generator().manual_seed(4), start)
    for row in range(5):
        alone = objective.sample(model, context[[row]], 3, torch.Generator().manual_seed(4), start[[row]])
        torch.testing.assert_close(together.x[[row]], alone.x, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(together.energies[[row]], alone.energies, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("kind", sorted(ENERGIES))
def test_an_energy_does_not_depend_on_the_batch_in_which_it_is_computed(kind: str) -> None:
    _, model = make(kind)
    assert isinstance(model, EnergyModel)
    model = model.double()
    generator = torch.Generator().manual_seed(3)
    context = torch.randn(6, model.tokens, 16, generator=generator, dtype=torch.float64)
    x = torch.randn(6, HORIZON, JOINTS, generator=generator, dtype=torch.float64)
    time = torch.linspace(0.1, 1, 6, dtype=torch.float64) if model.body.time is not None else None
    energy, slope = model.gradient(context, x, time)
    for row in range(6):
        own_time = None if time is None else time[[row]]
        own = model.gradient(context[[row]], x[[row]], own_time)
        torch.testing.assert_close((energy[[row]], slope[[row]]), own, rtol=1e-10, atol=1e-10)


def test_the_slope_of_a_timed_energy_is_that_of_autograd() -> None:
    _, model = make("annealed")
    assert isinstance(model, EnergyModel)
    model = model.double()
    generator = torch.Generator().manual_seed(5)
    context = torch.randn(3, model.tokens, 16, generator=generator, dtype=torch.float64)
    x = torch.randn(3, HORIZON, JOINTS, generator=generator, dtype=torch.float64, requires_grad=True)
    time = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    energy, slope = model.gradient(context, x, time)
    right = model.energy(context, x, time)
    (asked,) = torch.autograd.grad(right.sum(), x)
    torch.testing.assert_close((energy, slope), (right, asked), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ENERGIES])
def test_what_has_no_energy_says_so(kind: str) -> None:
    recipe, model = make(kind)
    context = torch.randn(2, model.tokens, 16)
    found = build_objective(recipe.objective).sample(model, context, None, torch.Generator().manual_seed(0))
    assert found.energies.isnan().all() and found.x.shape == (2, HORIZON, JOINTS)
    assert (found.steps_used == recipe.objective.usual_steps).all()


def test_a_diffusion_visits_every_level_or_leaves_some_out() -> None:
    recipe, model = make("diffusion")
    objective, context = build_objective(recipe.objective), torch.randn(2, model.tokens, 16)
    drawn = [
        objective.sample(model, context, steps, torch.Generator().manual_seed(seed), torch.ones(2, HORIZON, JOINTS)).x
        for steps, seed in ((20, 1), (20, 2), (5, 1), (5, 2))
    ]
    assert not torch.equal(drawn[0], drawn[1])  # DDPM draws noise on the way
    assert torch.equal(drawn[2], drawn[3])  # DDIM does not


@pytest.mark.parametrize("name", ["ebt_october", "ebt_november"])
def test_the_published_configurations_load_and_can_take_a_step(name: str) -> None:
    published = load_recipe(name)
    recipe, _ = make("unrolled_ebt")
    recipe = recipe.model_copy(update={"objective": published.objective, "model": replace_bowl(recipe, published)})
    unit = Spread(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    model = build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))
    assert isinstance(model, EnergyModel) and model.bowl == 0
    learner = Learner(recipe, model)
    found = learner.update(lesson(16, 0), done=0.0)
    assert all(torch.isfinite(value) for value in found.values())
    assert published.objective.usual_steps == {"ebt_october": 2, "ebt_november": 20}[name]


def replace_bowl(recipe: Recipe, published: Recipe) -> object:
    return recipe.model.model_copy(update={"bowl": published.model.bowl})


def test_back_propagating_through_the_chain_is_another_loss_than_detaching() -> None:
    _, model = make("unrolled_ebt")
    batch = lesson(16, 1)
    slopes = []
    for unroll in (False, True):
        recipe, _ = make("unrolled_ebt", unroll=unroll, steps=3, extra_steps=0, langevin=(0.0, 0.0), step_jitter=1.0)
        loss = build_objective(recipe.objective)(model, batch, torch.Generator().manual_seed(2))
        slopes.append(torch.autograd.grad(loss.total, model.body.embed.weight)[0])
        assert loss.parts["iterate"] > 0
    assert not torch.allclose(*slopes)


def test_only_the_last_iterate_is_learnt_from_where_the_recipe_says_so() -> None:
    _, model = make("unrolled_ebt")
    recipe, _ = make("unrolled_ebt", last_only=True, forecast_weight=0.0)
    loss = build_objective(recipe.objective)(model, lesson(16, 1), torch.Generator().manual_seed(2))
    torch.testing.assert_close(loss.total.detach(), loss.parts["last"])


def test_a_batch_of_other_rows_leaves_a_row_its_own_size() -> None:
    """The reference code divides by the root mean square over the batch; here a huge neighbour changes nothing."""
    recipe, model = make("unrolled_ebt")
    objective = build_objective(recipe.objective)
    context, start = torch.randn(2, model.tokens, 16), torch.randn(2, HORIZON, JOINTS)
    loud = torch.cat([start[:1], 100 * start[1:]])
    quiet, beside = (objective.sample(model, context, 2, torch.Generator(), each).x[0] for each in (start, loud))
    torch.testing.assert_close(quiet, beside, rtol=1e-5, atol=1e-5)
