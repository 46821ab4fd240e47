"""Scores of plans, and the policies that have them."""

import numpy as np
import pytest

from ebt_hardware.bench.bench import Bench
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.reference import Reference
from ebt_recipes.uncertainty.scores import NEED_REFERENCE, SCORES, available_scores
from tests.recipes.conftest import decisions
from tests.recipes.objectives.conftest import make


@pytest.mark.parametrize("score", [name for name in SCORES if name not in NEED_REFERENCE])
def test_every_score_is_finite_for_every_plan(twin: Bench, untrained: Run, score: str) -> None:
    made = decisions(twin, EnergyPolicy(untrained, twin.spec, score=score), 20)
    assert all(np.isfinite(decision.score) for decision in made if decision.trace)


def test_a_policy_has_the_scores_whose_energy_and_reference_it_has() -> None:
    energy, field, reference = make("equilibrium_matching")[1], make("flow")[1], Reference(3, 16, memories=5)
    assert available_scores(energy, reference) == tuple(SCORES)
    assert available_scores(energy, None) == ("energy", "tail", "slope", "descent", "jump", "elapsed")
    assert available_scores(field, reference) == ("strangeness", "neighbour", "jump", "elapsed")
    assert available_scores(field, None) == ("jump", "elapsed")
