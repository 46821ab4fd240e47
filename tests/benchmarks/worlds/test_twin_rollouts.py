"""The benchmarks' twin in short: an untrained policy is scored, disturbed and retried through the product's loop."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.uncertainty.detectors import DetectorScorer, Novelty
from benchmarks.uncertainty.failures import FAILURES, Case, Failure
from benchmarks.uncertainty.triggers import ScheduledTrigger
from benchmarks.worlds import twin_rollouts
from benchmarks.worlds.rollout_results import RATE_HZ
from benchmarks.worlds.twin_arena import PRIVILEGED, TwinArena
from benchmarks.worlds.twin_rollouts import TWIN_DISTURBANCES, MakeScoredPolicy
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.recording import Limits
from ebt_recipes.loop.rollouts import Trial
from ebt_recipes.model.normalization import MeanStd, Statistics
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
    """Two seconds of an untrained policy, scored by its energy and by the spread of its plans."""
    arena = TwinArena(TASK)
    recipe = arena.recipe(METHODS[ENERGY].objective, model={"width": 16, "layers": 1})
    spec = load_bench("twin_state").with_task(TASK).spec
    joints = len(spec.joints)

    def spread(size: int) -> MeanStd:
        return MeanStd(np.zeros(size, np.float32), np.full(size, 0.1, np.float32))

    joint_statistics = {name: spread(joints) for name in ("position", "velocity", "effort")}
    statistics = Statistics(joint_statistics | {name: spread(7) for name in PRIVILEGED[TASK]}, spread(joints))
    model = build_model(recipe, (), joints, statistics).eval().requires_grad_(False)
    contract = Contract(spec.joints, {}, spec.rate_hz, PRIVILEGED[TASK], task=TASK, bench="twin_state", sim=True)
    plan_sampler = PlanSampler(model, build_objective(recipe.objective), recipe.act)
    scorer = DetectorScorer(plan_sampler, Scorer(model, None), Novelty(1), ("energy", "spread"))
    run = Run(Path("untrained"), recipe, contract, statistics, model, step=0)
    return Trial("twin_state", MakeScoredPolicy(run, scorer), Limits(2.0), task=TASK)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: starting another takes longer than the rollouts."""

    class SameProcess:
        def map(self, work: Callable[..., object], *columns: Iterable[object]) -> Iterator[object]:
            return map(work, *columns)

    monkeypatch.setattr(twin_rollouts, "worker_pool", lambda _: nullcontext(SameProcess()))


def test_every_failure_can_be_done_to_the_twin() -> None:
    kinds = {failure.kind for failure in FAILURES if failure.kind is not None}
    for task in PRIVILEGED:
        assert {TWIN_DISTURBANCES[kind] for kind in kinds} <= set(load_bench("twin_state").with_task(task).disturbances)
        assert set(TwinArena(task).disturbances) == kinds


def test_every_plan_is_scored_and_a_disturbance_starts_at_its_moment(trial: Trial) -> None:
    result = twin_rollouts.roll_out_scored(trial, Case(range(2), NUDGE, 50))
    assert result.disturbed_at.tolist() == [11, 11]
    assert set(result.scores) == {"energy", "spread"}
    assert result.plans.tolist() == [10, 10] and (result.lasted == 2 * RATE_HZ).all()
    assert result.times_s[:2].tolist() == pytest.approx([0.05, 0.25])
    assert (result.scores["spread"][:, :10] > 0).all()
    assert np.isinf(twin_rollouts.roll_out_scored(trial, Case(range(1))).disturbed_at).all()


def test_each_rollout_has_its_own_trigger(trial: Trial) -> None:
    triggers = [ScheduledTrigger(EnergyMonitor(None), times_s) for times_s in ((), (0.5,))]
    helped = twin_rollouts.retry(trial, Case(range(2)), triggers, RetryRules(retries=2, rule="hold"))
    assert helped.retries.tolist() == [0, 1]
    assert not helped.gave_up.any()
