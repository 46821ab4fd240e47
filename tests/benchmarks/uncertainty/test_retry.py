from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.policies.methods import METHODS, OURS
from benchmarks.policies.train_policy import train
from benchmarks.uncertainty.detectors import FeatureEncoder, Novelty
from benchmarks.uncertainty.failures import Case
from benchmarks.uncertainty.retry import RULES, compare, rate
from benchmarks.uncertainty.triggers import Scheduled, oracle_times, random_times
from benchmarks.worlds.toys.peg_insert import PegInsert
from benchmarks.worlds.toys.retried import retry, retry_rules
from benchmarks.worlds.toys.toy import View
from benchmarks.worlds.toys.toy_arena import ToyArena
from benchmarks.worlds.toys.watched import watch
from benchmarks.worlds.watched import Retried
from ebt_recipes.retry.retry import Rule
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules
from ebt_recipes.uncertainty.scores import Scorer

SEEDS = range(3)
INF = float("inf")


class Short(PegInsert):
    """Cut off early, since a policy that learnt nothing gets nowhere."""

    longest = 60


@pytest.fixture(scope="module")
def eyes() -> FeatureEncoder:
    """An untrained policy that is watched by its energy alone."""
    policies, _ = train(ToyArena(Short), METHODS[OURS].objective, 0, (1,), shown=10)
    return FeatureEncoder(policies[1], Scorer(policies[1].model, None), Novelty(1), ("energy",))


def monitor(k: float = 1e9) -> EnergyMonitor:
    return EnergyMonitor(ConformalThreshold((0.0,), (0.0,), (1.0,), k), MonitorRules(1, 0.5, 2))


def scheduled(times_s: Sequence[Sequence[float]]) -> list[Scheduled]:
    return [Scheduled(monitor(), each) for each in times_s]


def tried(
    eyes: FeatureEncoder, times_s: Sequence[Sequence[float]], rule: Rule = "hold", retries: int = 2, go_on: bool = False
) -> Retried:
    rules = retry_rules(Short, rule, retries, go_on)
    return retry(Short, eyes, Case(SEEDS, usual=40), scheduled(times_s), rules)


def outcome(succeeded: Sequence[int], retries: Sequence[int], gave_up: int = 0) -> Retried:
    n = len(succeeded)
    up = np.arange(n) < gave_up
    return Retried(np.array(succeeded, bool), np.full(n, 9), np.full(n, INF), np.array(retries), up)


def test_rescued_and_harmed_are_counted_episode_by_episode() -> None:
    alone, helped = outcome([1, 1, 0, 0, 0], [0] * 5), outcome([0, 1, 1, 1, 0], [2, 0, 1, 1, 1], gave_up=1)
    found = compare(alone, helped)
    assert (found["n"], found["alone"], found["helped"]) == (5, 2, 3)
    assert (found["rescued"], found["harmed"], found["gave_up"]) == (2, 1, 1)
    assert (found["retries"], found["false_retries"]) == (1.0, 0.5)
    assert rate(2, 3).startswith("67 (21-94)")
    assert rate(0, 0) == "none"


def test_a_schedule_rises_with_the_first_plan_at_or_after_each_time() -> None:
    trigger = Scheduled(monitor(), [0.25, 0.9])
    trigger.restart(0.0)
    rises = [trigger.update(0.1 * plan, 0.0).alarm for plan in range(12)]
    assert [plan for plan, rise in enumerate(rises) if rise] == [3, 9]


def test_random_times_are_as_many_as_the_counts_and_lie_within_the_episode() -> None:
    counts, lasted_s = [0, 2, 1, 3, 0], [1.0, 2.0, 3.0, 4.0, 5.0]
    times = random_times(counts, lasted_s, seed=0)
    assert sorted(map(len, times)) == sorted(counts)
    assert all(0 <= time_s < lasts for each, lasts in zip(times, lasted_s, strict=True) for time_s in each)
    assert times == random_times(counts, lasted_s, seed=0)


def test_an_oracle_waits_for_what_was_done_and_leaves_successes_alone() -> None:
    def times(began_s: float, failed: bool, lasted_s: float = 9.0) -> list[float]:
        return oracle_times(began_s, failed, lasted_s, usual_s=2.0, reaction_s=0.2, retries=2)

    assert times(1.0, failed=False) == [1.2]
    assert times(1.0, failed=True) == [1.2, 5.2]
    assert times(INF, failed=False) == []
    assert times(INF, failed=True) == [2.0, 6.0]
    assert times(INF, failed=True, lasted_s=1.0) == [0.8, 4.8]


def test_without_a_rise_a_watched_rollout_is_the_bare_one(eyes: FeatureEncoder) -> None:
    bare = watch(Short, eyes, Case(SEEDS))
    alone = tried(eyes, [()] * 3)
    assert (alone.lasted == bare.lasted).all()
    assert (alone.succeeded == bare.succeeded).all()
    assert not alone.retries.any()


def test_a_retry_changes_its_own_world_alone(eyes: FeatureEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def path(times_s: Sequence[Sequence[float]]) -> NDArray[np.float32]:
        """[T, N, J] of a rollout with retries at these times."""
        seen: list[NDArray[np.float32]] = []
        observe = PegInsert.observe

        def noted(worlds: PegInsert) -> View:
            seen.append(observe(worlds).position)
            return observe(worlds)

        monkeypatch.setattr(Short, "observe", noted)
        assert tried(eyes, times_s, "return").retries.tolist() == [len(each) for each in times_s]
        return np.stack(seen[:90])

    same = np.isclose(path([(), (), ()]), path([(), (1.0,), ()]), atol=1e-4).all(axis=(0, 2))
    assert same.tolist() == [True, False, True]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_retries_as_often_as_it_is_told(eyes: FeatureEncoder, rule: Rule) -> None:
    found = tried(eyes, [(0.5,), (), (0.3, 2.3)], rule)
    assert found.retries.tolist() == [1, 0, 2]
    assert not found.gave_up.any()


def test_the_rise_after_the_last_retry_gives_up(eyes: FeatureEncoder) -> None:
    found = tried(eyes, [(0.5, 1.5), (), ()], retries=1)
    assert found.retries.tolist() == [1, 0, 0]
    assert found.gave_up.tolist() == [True, False, False]


def test_where_nobody_is_there_the_last_attempt_goes_on(eyes: FeatureEncoder) -> None:
    found = tried(eyes, [(0.5, 1.5), (), ()], retries=1, go_on=True)
    assert found.retries.tolist() == [1, 0, 0]
    assert not found.gave_up.any()


def test_no_retries_means_that_rises_change_nothing(eyes: FeatureEncoder) -> None:
    assert not tried(eyes, [(0.5,)] * 3, retries=0).retries.any()
