"""Common properties of all objectives: rows never mix, samples have a fixed shape, and training reduces errors."""

import pytest
import torch

from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objectives.build import build_objective
from ebt_recipes.training.learner import Learner
from tests.recipes.objectives.conftest import HORIZON, JOINTS, KINDS, make, toy_batch

ENERGIES = {"equilibrium_matching", "unrolled_ebt", "annealed"}


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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ENERGIES])
def test_samples_without_an_energy_report_nan(kind: str) -> None:
    recipe, model = make(kind)
    context = torch.randn(2, model.tokens, 16)
    samples = build_objective(recipe.objective).sample(model, context, None, torch.Generator().manual_seed(0))
    assert samples.energies.isnan().all() and samples.x.shape == (2, HORIZON, JOINTS)
    assert (samples.steps_used == recipe.objective.default_steps).all()
