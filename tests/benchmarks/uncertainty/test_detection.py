from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.policies.methods import METHODS, OURS
from benchmarks.policies.train_policy import train
from benchmarks.uncertainty.alarms import OVERALL, Alarm, fit, judge, look, smoothed
from benchmarks.uncertainty.detection import DETECTORS, asked, needs
from benchmarks.uncertainty.detectors import SET, FeatureEncoder, Novelty, discrepancy, fit_encoder
from benchmarks.uncertainty.failures import FAILURES, FINAL, MOST, NATURAL, TUNING, Case, Failure, Study, suffered
from benchmarks.uncertainty.measures import auroc, balanced_accuracy, timely_accuracy
from benchmarks.worlds.toys.desk import Desk
from benchmarks.worlds.toys.fork import Fork
from benchmarks.worlds.toys.toy_arena import ToyArena
from benchmarks.worlds.toys.watched import watch
from benchmarks.worlds.watched import RATE_HZ, Watched, usual_length
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.uncertainty.monitor import smooth
from ebt_recipes.uncertainty.scores import SCORES

INF = float("inf")


def flags(*values: int) -> NDArray[np.bool_]:
    return np.array(values, np.bool_)


def watched(
    scores: Sequence[Sequence[float]], succeeded: Sequence[int], began: Sequence[float] | None = None, execute: int = 2
) -> Watched:
    """Rollouts with their `energy` and the time; each is over with its last plan."""
    width = max(map(len, scores))
    table = np.full((len(scores), width), np.nan)
    for row, values in enumerate(scores):
        table[row, : len(values)] = values
    lasted = np.array([execute * len(values) for values in scores])
    times = np.full(len(scores), INF) if began is None else np.array(began, np.float64)
    elapsed = np.where(np.isnan(table), np.nan, np.arange(width) * execute / RATE_HZ)
    return Watched(flags(*succeeded), lasted, times, {"energy": table, "elapsed": elapsed}, execute)


def flat(k: float) -> Alarm:
    """Alarms above `k`, at every time."""
    bands = fit("energy", watched([[k]] * 20, [1] * 20), 0.05, window=1).thresholds
    return Alarm(bands.model_copy(update={"mean": ((0.0,),), "sd": ((1.0,),), "times_s": (0.0,), "k": k}))


def test_auroc_counts_pairs_and_half_of_the_ties() -> None:
    # Failures 3 and 1 against successes 1, 2 and 0: above 3, and above 1 with one tie.
    assert auroc(np.array([3.0, 1, 1, 2, 0]), flags(1, 1, 0, 0, 0)) == pytest.approx((3 + 1.5) / 6)
    assert auroc(np.ones(4), flags(1, 1, 0, 0)) == 0.5
    assert np.isnan(auroc(np.ones(2), flags(1, 1)))


def test_balanced_accuracy_weighs_failures_and_successes_alike() -> None:
    assert balanced_accuracy(flags(1, 0, 0, 0, 0, 1), flags(1, 1, 0, 0, 0, 0)) == pytest.approx((0.5 + 0.75) / 2)


def test_a_late_call_earns_less() -> None:
    at = np.array([0.25, INF, INF, 0.5])
    assert timely_accuracy(at, flags(1, 1, 0, 0)) == pytest.approx((0.75 / 2 + 0.5) / 2)


def test_smoothing_is_that_of_the_product() -> None:
    values = [1.0, 5, 2, 8, 0]
    table = np.array([[*values, np.nan]])
    for window in (1, 3, 8):
        assert smoothed(table, window)[0, :5] == pytest.approx(smooth(values, window))
    assert np.isnan(smoothed(table, 3)[0, 5])


@pytest.mark.parametrize("detector", ["energy", "elapsed", "energy+elapsed"])
def test_alarms_are_those_of_the_products_monitor(detector: str) -> None:
    draw = np.random.default_rng(0)
    lengths = draw.integers(6, 12, 60)
    calibration = watched([draw.normal(size=plans).cumsum().tolist() for plans in lengths], [1] * 60)
    tests = watched([(2 * draw.normal(size=16)).cumsum().tolist() for _ in range(30)], [1] * 30)
    alarm = fit(detector, calibration, 0.05, window=3)
    margins = alarm.margins(tests)
    for row, scores in enumerate(tests.scores["energy"]):
        monitor = alarm.thresholds.monitor()
        told = [
            monitor.update(plan * 2 / RATE_HZ, *[score] * len(alarm.scores)).margin for plan, score in enumerate(scores)
        ]
        assert margins[row] == pytest.approx(told)


def test_elapsed_alarms_once_it_takes_longer_than_successes_do() -> None:
    calibration = watched([[0.0] * plans for plans in range(1, 40)], [1] * 39)
    alarm = fit("elapsed", calibration, 0.05, window=3)
    late = alarm.margins(watched([[0.0] * 45], [0]))[0] > 0
    assert late.tolist() == [False] * 39 + [True] * 6


def test_failures_do_not_calibrate() -> None:
    calibration = watched([[0.0] * 4] * 30 + [[99.0] * 40] * 30, [1] * 30 + [0] * 30)
    alarm = fit("energy+elapsed", calibration, 0.1, window=1)
    assert (alarm.margins(watched([[99.0]], [0])) > 0).all()
    late = alarm.margins(watched([[0.0] * 9], [0]))[0] > 0
    assert late.tolist() == [False] * 4 + [True] * 5


def test_an_alarm_before_the_disturbance_is_none_and_delay_counts_from_it() -> None:
    tests = watched([[5, 0, 0, 5], [5, 0, 0, 0]], [0, 0], began=[3, 3])
    judged = look(flat(1.0), tests, usual=8, disturbed=True)
    assert judged.delay.tolist() == [3, INF]
    assert judged.alarm_at.tolist() == [6 / 8, INF]


def test_worlds_that_the_disturbance_never_reached_are_left_out() -> None:
    tests = watched([[5.0], [5.0]], [0, 0], began=[0, INF])
    assert len(look(flat(1.0), tests, usual=8, disturbed=True).failed) == 1


def test_equal_time_forgets_what_came_after_a_usual_success() -> None:
    judged = look(flat(1.0), watched([[0, 0, 9.0]], [0]), usual=2, disturbed=False)
    assert (judged.peak[0], judged.early_peak[0]) == (8, -1)


def test_figures_by_failure_and_overall() -> None:
    natural = watched([[0.0], [2.0], [3.0], [0.5]], [1, 1, 0, 1])
    drop = watched([[4.0], [0.0], [5.0]], [0, 0, 1], began=[0, 0, 0])
    found = judge(flat(1.0), {"natural": natural, "drop": drop}, usual=2)
    assert found["natural"].false_alarms == pytest.approx(1 / 3)
    assert found["drop"].called == 0.5
    assert found["drop"].balanced == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (found["drop"].recovered, found["drop"].recovered_alarmed) == (1, 1)
    assert (found[OVERALL].failures, found[OVERALL].successes) == (3, 4)
    assert found[OVERALL].balanced == pytest.approx((2 / 3 + 2 / 4) / 2)


def test_what_a_detector_needs_is_told_by_its_scores() -> None:
    assert (needs("excess+neighbour"), needs("strangeness"), needs("rnd+elapsed")) == ("energy", "network", "")
    assert len(set(DETECTORS)) == len(DETECTORS)
    assert asked([]).tuning is False


def seeds_of(study: Study) -> set[int]:
    found = set(study.calibrate(MOST))
    for failure in FAILURES:
        for seeds in (study.detect(failure, MOST), study.retry(failure, MOST)):
            assert not found & set(seeds), "every purpose has seeds of its own"
            found |= set(seeds)
    return found


def test_seeds_are_disjoint_and_tuning_stays_below_the_final_ones() -> None:
    assert max(seeds_of(TUNING)) < 10_000
    assert min(seeds_of(FINAL)) >= 150_000
    assert min(FINAL.detect(NATURAL, 1)) == 200_000
    assert min(FINAL.retry(NATURAL, 1)) == 300_000
    with pytest.raises(ValueError, match="seeds for 1000"):
        FINAL.detect(NATURAL, MOST + 1)


def test_failures_are_well_formed_and_their_moments_depend_on_the_seed_alone() -> None:
    assert len({failure.name for failure in FAILURES}) == len(FAILURES)
    assert suffered(()) == (NATURAL,)
    assert (NATURAL.moments(range(3), 50) == -1).all()
    late = Failure("drop", "drop", (0.2, 0.6))
    moments = late.moments(range(200), 50)
    assert moments.min() >= 10
    assert moments.max() < 30
    assert (late.moments(range(100, 102), 50) == moments[100:102]).all()


@pytest.fixture(scope="module")
def eyes() -> Iterator[FeatureEncoder]:
    """Of an untrained policy on the fork."""
    names = (*(name for name in SCORES if name != "elapsed"), "stac", "spread", "rnd", "logpzo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.uncertainty.detectors.UPDATES", 20)
        patch.setattr("ebt_recipes.uncertainty.reference.UPDATES", 20)
        policies, seen = train(ToyArena(Fork), METHODS[OURS].objective, 0, (1,), shown=300)
        yield fit_encoder(policies[1], seen, names)


def test_every_plan_gets_every_score_until_the_world_is_over(eyes: FeatureEncoder) -> None:
    found = watch(Fork, eyes, Case(range(2)))
    assert set(found.scores) == set(eyes.names)
    for values in found.scores.values():
        assert (np.isfinite(values).sum(axis=1) == found.plans).all()
    assert np.isinf(found.began).all()
    assert usual_length(found) > 0


def test_only_what_was_asked_for_is_looked_at(eyes: FeatureEncoder) -> None:
    few = FeatureEncoder(eyes.plan_sampler, eyes.scorer, eyes.novelty, ("spread", "rnd"))
    assert list(watch(Fork, few, Case(range(2))).scores) == ["spread", "rnd"]


def test_a_rollout_does_not_depend_on_those_beside_it(eyes: FeatureEncoder) -> None:
    few = FeatureEncoder(eyes.plan_sampler, eyes.scorer, eyes.novelty, ("energy",))
    together, alone = (watch(Fork, few, Case(seeds)) for seeds in (range(4), range(2, 3)))
    assert together.lasted[2] == alone.lasted[0]
    assert together.scores["energy"][2] == pytest.approx(alone.scores["energy"][0], rel=1e-3, abs=1e-4, nan_ok=True)


def test_a_forgotten_plan_is_no_tail(eyes: FeatureEncoder) -> None:
    worlds = Fork()
    worlds.reset(range(2))
    desk, rows = Desk(eyes.plan_sampler, range(2)), np.arange(2)
    first = desk.plan(worlds.observe(), rows, 0, Effort())
    assert not first.tail.known.any()
    desk.forget(0)
    second = desk.plan(worlds.observe(), rows, 3, Effort())
    assert second.tail.known.sum(dim=1).tolist() == [0, 5]
    assert not torch.equal(first.samples.x, second.samples.x), "every plan has noise of its own"


def test_sets_of_one_distribution_hardly_differ() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, SET, 10, generator=draw) for _ in range(2))
    assert abs(float(discrepancy(one, one))) < 1e-5
    assert float(discrepancy(one, other)) < 0.2 < float(discrepancy(one, other + 1))


def test_what_was_never_seen_is_novel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.uncertainty.detectors.UPDATES", 150)
    torch.manual_seed(0)
    novelty = Novelty(4)
    seen = torch.randn(2000, 4)
    novelty.learn(seen)
    for score in (novelty.rnd, novelty.logpzo):
        assert float(score(seen + 4).median()) > 2 * float(score(seen).median())
