"""Common properties of all objectives: rows never mix, samples have a fixed shape, and training reduces errors."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.field import FieldModel
from ebt_recipes.model.normalization import MeanStd, Statistics
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
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    torch.manual_seed(0)
    return recipe, build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))


def toy_batch(rows: int, seed: int) -> Batch:
    """Each joint goes to where the observation says, a little further every tick."""
    place = torch.randn(rows, JOINTS, generator=torch.Generator().manual_seed(seed))
    chunk = place[:, None] * torch.linspace(0.25, 1, HORIZON)[:, None]
    return Batch(Observations({}, {"position": place}, {}), chunk, torch.ones(rows, HORIZON), place)


@pytest.mark.parametrize("kind", KINDS)
def test_an_objective_has_its_kind_of_network(kind: str) -> None:
    assert isinstance(make(kind)[1], EnergyModel if kind in ENERGIES else FieldModel)


@pytest.mark.parametrize("kind", KINDS)
def test_training_brings_samples_nearer_to_the_demonstrations(kind: str) -> None:
    recipe, model = make(kind)
    learner = Learner(recipe, model)

    def error() -> float:
        batch = toy_batch(64, seed=999)
        with torch.no_grad():
            context = learner.averaged.encode(batch.observations)
        samples = learner.objective.sample(learner.averaged, context, None, torch.Generator().manual_seed(1))
        return float((samples.x - batch.chunk).square().mean())

    before = error()
    for step in range(120):
        learner.update(toy_batch(32, step), done=0.0)
    assert error() < 0.6 * before


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_does_not_depend_on_the_other_rows(kind: str) -> None:
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
    energy, gradient = model.gradient(context, x, time)
    for row in range(6):
        row_time = None if time is None else time[[row]]
        alone = model.gradient(context[[row]], x[[row]], row_time)
        torch.testing.assert_close((energy[[row]], gradient[[row]]), alone, rtol=1e-10, atol=1e-10)


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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ENERGIES])
def test_samples_without_an_energy_report_nan(kind: str) -> None:
    recipe, model = make(kind)
    context = torch.randn(2, model.tokens, 16)
    samples = build_objective(recipe.objective).sample(model, context, None, torch.Generator().manual_seed(0))
    assert samples.energies.isnan().all() and samples.x.shape == (2, HORIZON, JOINTS)
    assert (samples.steps_used == recipe.objective.default_steps).all()


def test_a_diffusion_visits_every_level_or_skips_some() -> None:
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
