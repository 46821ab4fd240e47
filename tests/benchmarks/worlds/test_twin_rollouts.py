"""The benchmarks' twin in small: an untrained policy is watched, disturbed and helped through the product's loop."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from benchmarks.policies.methods import METHODS, OURS
from benchmarks.uncertainty.detectors import FeatureEncoder, Novelty
from benchmarks.uncertainty.failures import FAILURES, Case, Failure
from benchmarks.uncertainty.triggers import Scheduled
from benchmarks.worlds import twin_watched
from benchmarks.worlds.twin_arena import SEEN, TwinArena
from benchmarks.worlds.twin_watched import KINDS, Watching
from benchmarks.worlds.watched import RATE_HZ
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.recording import Limits
from ebt_recipes.loop.rollouts import Trial
from ebt_recipes.model.normalization import Spread, Statistics
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.retry.retry import RetryRules
from ebt_recipes.training.checkpoint import Contract, Run
from ebt_recipes.uncertainty.monitor import EnergyMonitor
from ebt_recipes.uncertainty.scores import Scorer

TASK = "pick_place"
NUDGE = Failure("nudge", "nudge", (0.2, 0.2))


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Two seconds of a policy that learnt nothing, watched by its energy and by how its plans differ."""
    arena = TwinArena(TASK)
    recipe = arena.recipe(METHODS[OURS].objective, model={"width": 16, "layers": 1})
    spec = load_bench("twin_state").with_task(TASK).spec
    joints = len(spec.joints)

    def spread(size: int) -> Spread:
        return Spread(np.zeros(size, np.float32), np.full(size, 0.1, np.float32))

    told = {name: spread(joints) for name in ("position", "velocity", "effort")}
    statistics = Statistics(told | {name: spread(7) for name in SEEN[TASK]}, spread(joints))
    model = build_model(recipe, (), joints, statistics).eval().requires_grad_(False)
    contract = Contract(spec.joints, {}, spec.rate_hz, SEEN[TASK], task=TASK, bench="twin_state", sim=True)
    plan_sampler = PlanSampler(model, build_objective(recipe.objective), recipe.act)
    eyes = FeatureEncoder(plan_sampler, Scorer(model, None), Novelty(1), ("energy", "spread"))
    run = Run(Path("untrained"), recipe, contract, statistics, model, step=0)
    return Trial("twin_state", Watching(run, eyes), Limits(2.0), task=TASK)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: starting another takes longer than the rollouts."""

    class Here:
        def map(self, work: Callable[..., object], *columns: Iterable[object]) -> Iterator[object]:
            return map(work, *columns)

    monkeypatch.setattr(twin_watched, "worker_pool", lambda _: nullcontext(Here()))


def test_every_failure_can_be_done_to_the_twin() -> None:
    kinds = {failure.kind for failure in FAILURES if failure.kind is not None}
    for task in SEEN:
        assert {KINDS[kind] for kind in kinds} <= set(load_bench("twin_state").with_task(task).disturbances)
        assert set(TwinArena(task).disturbances) == kinds


def test_every_plan_is_scored_and_a_disturbance_begins_when_it_is_told_to(trial: Trial) -> None:
    found = twin_watched.watch(trial, Case(range(2), NUDGE, 50))
    assert found.began.tolist() == [11, 11]
    assert set(found.scores) == {"energy", "spread"}
    assert found.plans.tolist() == [10, 10] and (found.lasted == 2 * RATE_HZ).all()
    assert found.times_s[:2].tolist() == pytest.approx([0.05, 0.25])
    assert (found.scores["spread"][:, :10] > 0).all()
    assert np.isinf(twin_watched.watch(trial, Case(range(1))).began).all()


def test_each_rollout_has_a_trigger_of_its_own(trial: Trial) -> None:
    triggers = [Scheduled(EnergyMonitor(None), times_s) for times_s in ((), (0.5,))]
    helped = twin_watched.retry(trial, Case(range(2)), triggers, RetryRules(retries=2, rule="hold"))
    assert helped.retries.tolist() == [0, 1]
    assert not helped.gave_up.any()
