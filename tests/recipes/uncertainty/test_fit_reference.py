"""Reference statistics, fitted to a policy's own plans."""

import pytest
import torch

from ebt_recipes.objectives.build import build_objective
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.uncertainty.fit_reference import fit_reference
from tests.recipes.objectives.conftest import make, toy_batch


@pytest.mark.parametrize("kind", ["equilibrium_matching", "flow"])
def test_a_reference_is_finite_repeats_by_seed_and_leaves_other_noise_alone(kind: str) -> None:
    recipe, model = make(kind)
    plan_sampler = PlanSampler(model, build_objective(recipe.objective), recipe.act)
    batches = [toy_batch(40, seed).observations for seed in range(2)]
    before = torch.random.get_rng_state()
    reference, again = (fit_reference(plan_sampler, batches, seed=3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    values = reference.state_dict()
    assert all(
        value.isfinite().all() and torch.equal(value, again.state_dict()[name]) for name, value in values.items()
    )
    features = torch.cat([model.encoder.features(batch) for batch in batches])
    torch.testing.assert_close(reference.feature_mean, features.mean(dim=0))
    assert float(reference.distance(features).max()) < 1e-3  # it remembers what was demonstrated
