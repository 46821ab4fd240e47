from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.policies.train_policy import train
from benchmarks.uncertainty.detectors import DetectorScorer, Novelty
from benchmarks.uncertainty.failures import Case
from benchmarks.uncertainty.retry import RULES, compare, rate
from benchmarks.uncertainty.triggers import ScheduledTrigger, oracle_times, random_times
from benchmarks.worlds.rollout_results import RetriedRollouts
from benchmarks.worlds.toys.peg_insert import PegInsert
from benchmarks.worlds.toys.retry_rollout import retry, retry_rules
from benchmarks.worlds.toys.scored_rollout import roll_out_scored
from benchmarks.worlds.toys.toy import View
from benchmarks.worlds.toys.toy_arena import ToyArena
from ebt_recipes.retry.retry import Rule
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules
from ebt_recipes.uncertainty.scores import Scorer

SEEDS = range(3)
INF = float("inf")


class Short(PegInsert):
    """A short time limit, since an untrained policy never succeeds."""

    longest = 60


@pytest.fixture(scope="module")
def scorer() -> DetectorScorer:
    """An untrained policy that is scored by its energy alone."""
    policies, _ = train(ToyArena(Short), METHODS[ENERGY].objective, 0, (1,), fit_observations=10)
    return DetectorScorer(policies[1], Scorer(policies[1].model, None), Novelty(1), ("energy",))


def monitor(k: float = 1e9) -> EnergyMonitor:
    return EnergyMonitor(ConformalThreshold((0.0,), (0.0,), (1.0,), k), MonitorRules(1, 0.5, 2))


def scheduled(times_s: Sequence[Sequence[float]]) -> list[ScheduledTrigger]:
    return [ScheduledTrigger(monitor(), each) for each in times_s]


def tried(
    scorer: DetectorScorer,
    times_s: Sequence[Sequence[float]],
    rule: Rule = "hold",
    retries: int = 2,
    go_on: bool = False,
) -> RetriedRollouts:
    rules = retry_rules(Short, rule, retries, go_on)
    return retry(Short, scorer, Case(SEEDS, median_steps=40), scheduled(times_s), rules)


def outcome(succeeded: Sequence[int], retries: Sequence[int], gave_up: int = 0) -> RetriedRollouts:
    n = len(succeeded)
    gave_up_rows = np.arange(n) < gave_up
    return RetriedRollouts(np.array(succeeded, bool), np.full(n, 9), np.full(n, INF), np.array(retries), gave_up_rows)


def test_rescued_and_harmed_are_counted_episode_by_episode() -> None:
    alone, helped = outcome([1, 1, 0, 0, 0], [0] * 5), outcome([0, 1, 1, 1, 0], [2, 0, 1, 1, 1], gave_up=1)
    result = compare(alone, helped)
    assert (result["n"], result["alone"], result["helped"]) == (5, 2, 3)
    assert (result["rescued"], result["harmed"], result["gave_up"]) == (2, 1, 1)
    assert (result["retries"], result["false_retries"]) == (1.0, 0.5)
    assert rate(2, 3).startswith("67 (21-94)")
    assert rate(0, 0) == "none"


def test_a_schedule_alarms_with_the_first_plan_at_or_after_each_time() -> None:
    trigger = ScheduledTrigger(monitor(), [0.25, 0.9])
    trigger.restart(0.0)
    alarms = [trigger.update(0.1 * plan, 0.0).alarm for plan in range(12)]
    assert [plan for plan, alarm in enumerate(alarms) if alarm] == [3, 9]


def test_random_times_are_as_many_as_the_counts_and_lie_within_the_episode() -> None:
    counts, lasted_s = [0, 2, 1, 3, 0], [1.0, 2.0, 3.0, 4.0, 5.0]
    times = random_times(counts, lasted_s, seed=0)
    assert sorted(map(len, times)) == sorted(counts)
    assert all(0 <= time_s < lasts for each, lasts in zip(times, lasted_s, strict=True) for time_s in each)
    assert times == random_times(counts, lasted_s, seed=0)


def test_an_oracle_retries_after_the_disturbance_and_not_in_successes() -> None:
    def times(disturbed_s: float, failed: bool, lasted_s: float = 9.0) -> list[float]:
        return oracle_times(disturbed_s, failed, lasted_s, median_s=2.0, reaction_s=0.2, retries=2)

    assert times(1.0, failed=False) == [1.2]
    assert times(1.0, failed=True) == [1.2, 5.2]
    assert times(INF, failed=False) == []
    assert times(INF, failed=True) == [2.0, 6.0]
    assert times(INF, failed=True, lasted_s=1.0) == [0.8, 4.8]


def test_without_an_alarm_a_monitored_rollout_equals_the_bare_one(scorer: DetectorScorer) -> None:
    bare = roll_out_scored(Short, scorer, Case(SEEDS))
    alone = tried(scorer, [()] * 3)
    assert (alone.lasted == bare.lasted).all()
    assert (alone.succeeded == bare.succeeded).all()
    assert not alone.retries.any()


def test_a_retry_changes_only_its_own_world(scorer: DetectorScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def path(times_s: Sequence[Sequence[float]]) -> NDArray[np.float32]:
        """[T, N, J] of a rollout with retries at these times."""
        positions: list[NDArray[np.float32]] = []
        observe = PegInsert.observe

        def recorded(worlds: PegInsert) -> View:
            positions.append(observe(worlds).position)
            return observe(worlds)

        monkeypatch.setattr(Short, "observe", recorded)
        assert tried(scorer, times_s, "return").retries.tolist() == [len(each) for each in times_s]
        return np.stack(positions[:90])

    same = np.isclose(path([(), (), ()]), path([(), (1.0,), ()]), atol=1e-4).all(axis=(0, 2))
    assert same.tolist() == [True, False, True]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_retries_at_every_scheduled_time(scorer: DetectorScorer, rule: Rule) -> None:
    result = tried(scorer, [(0.5,), (), (0.3, 2.3)], rule)
    assert result.retries.tolist() == [1, 0, 2]
    assert not result.gave_up.any()


def test_the_alarm_after_the_last_retry_gives_up(scorer: DetectorScorer) -> None:
    result = tried(scorer, [(0.5, 1.5), (), ()], retries=1)
    assert result.retries.tolist() == [1, 0, 0]
    assert result.gave_up.tolist() == [True, False, False]


def test_with_go_on_the_last_attempt_continues(scorer: DetectorScorer) -> None:
    result = tried(scorer, [(0.5, 1.5), (), ()], retries=1, go_on=True)
    assert result.retries.tolist() == [1, 0, 0]
    assert not result.gave_up.any()


def test_no_retries_means_that_alarms_change_nothing(scorer: DetectorScorer) -> None:
    assert not tried(scorer, [(0.5,)] * 3, retries=0).retries.any()
