from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.policies.train_policy import train
from benchmarks.uncertainty.alarms import OVERALL, Alarm, evaluate, evaluate_episodes, fit, smoothed
from benchmarks.uncertainty.detection import DETECTORS, needs, parse_arguments
from benchmarks.uncertainty.detectors import SET, DetectorScorer, Novelty, discrepancy, fit_detectors
from benchmarks.uncertainty.failures import (
    FAILURES,
    FINAL,
    MAX_ROLLOUTS,
    NATURAL,
    TUNING,
    Case,
    Failure,
    Study,
    applicable_failures,
)
from benchmarks.uncertainty.measures import auroc, balanced_accuracy, timely_accuracy
from benchmarks.worlds.rollout_results import RATE_HZ, ScoredRollouts, median_length
from benchmarks.worlds.toys.batch_planner import BatchPlanner
from benchmarks.worlds.toys.fork import Fork
from benchmarks.worlds.toys.scored_rollout import roll_out_scored
from benchmarks.worlds.toys.toy_arena import ToyArena
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.uncertainty.monitor import smooth
from ebt_recipes.uncertainty.scores import SCORES

INF = float("inf")


def flags(*values: int) -> NDArray[np.bool_]:
    return np.array(values, np.bool_)


def scored_rollouts(
    scores: Sequence[Sequence[float]],
    succeeded: Sequence[int],
    disturbed_at: Sequence[float] | None = None,
    execute: int = 2,
) -> ScoredRollouts:
    """Rollouts with the scores `energy` and `elapsed`; each ends with its last plan."""
    width = max(map(len, scores))
    table = np.full((len(scores), width), np.nan)
    for row, values in enumerate(scores):
        table[row, : len(values)] = values
    lasted = np.array([execute * len(values) for values in scores])
    times = np.full(len(scores), INF) if disturbed_at is None else np.array(disturbed_at, np.float64)
    elapsed = np.where(np.isnan(table), np.nan, np.arange(width) * execute / RATE_HZ)
    return ScoredRollouts(flags(*succeeded), lasted, times, {"energy": table, "elapsed": elapsed}, execute)


def flat(k: float) -> Alarm:
    """A detector with the constant threshold `k`."""
    thresholds = fit("energy", scored_rollouts([[k]] * 20, [1] * 20), 0.05, window=1).thresholds
    return Alarm(thresholds.model_copy(update={"mean": ((0.0,),), "sd": ((1.0,),), "times_s": (0.0,), "k": k}))


def test_auroc_counts_pairs_and_half_of_the_ties() -> None:
    # Failures 3 and 1 against successes 1, 2 and 0: above 3, and above 1 with one tie.
    assert auroc(np.array([3.0, 1, 1, 2, 0]), flags(1, 1, 0, 0, 0)) == pytest.approx((3 + 1.5) / 6)
    assert auroc(np.ones(4), flags(1, 1, 0, 0)) == 0.5
    assert np.isnan(auroc(np.ones(2), flags(1, 1)))


def test_balanced_accuracy_weighs_failures_and_successes_alike() -> None:
    assert balanced_accuracy(flags(1, 0, 0, 0, 0, 1), flags(1, 1, 0, 0, 0, 0)) == pytest.approx((0.5 + 0.75) / 2)


def test_a_late_alarm_counts_less() -> None:
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
    calibration = scored_rollouts([draw.normal(size=plans).cumsum().tolist() for plans in lengths], [1] * 60)
    tests = scored_rollouts([(2 * draw.normal(size=16)).cumsum().tolist() for _ in range(30)], [1] * 30)
    alarm = fit(detector, calibration, 0.05, window=3)
    margins = alarm.margins(tests)
    for row, scores in enumerate(tests.scores["energy"]):
        monitor = alarm.thresholds.monitor()
        margins_of_monitor = [
            monitor.update(plan * 2 / RATE_HZ, *[score] * len(alarm.scores)).margin for plan, score in enumerate(scores)
        ]
        assert margins[row] == pytest.approx(margins_of_monitor)


def test_elapsed_alarms_once_it_takes_longer_than_successes_do() -> None:
    calibration = scored_rollouts([[0.0] * plans for plans in range(1, 40)], [1] * 39)
    alarm = fit("elapsed", calibration, 0.05, window=3)
    late = alarm.margins(scored_rollouts([[0.0] * 45], [0]))[0] > 0
    assert late.tolist() == [False] * 39 + [True] * 6


def test_failures_do_not_calibrate() -> None:
    calibration = scored_rollouts([[0.0] * 4] * 30 + [[99.0] * 40] * 30, [1] * 30 + [0] * 30)
    alarm = fit("energy+elapsed", calibration, 0.1, window=1)
    assert (alarm.margins(scored_rollouts([[99.0]], [0])) > 0).all()
    late = alarm.margins(scored_rollouts([[0.0] * 9], [0]))[0] > 0
    assert late.tolist() == [False] * 4 + [True] * 5


def test_an_alarm_before_the_disturbance_does_not_count_and_delay_starts_from_it() -> None:
    tests = scored_rollouts([[5, 0, 0, 5], [5, 0, 0, 0]], [0, 0], disturbed_at=[3, 3])
    episodes = evaluate_episodes(flat(1.0), tests, median_steps=8, disturbed=True)
    assert episodes.delay.tolist() == [3, INF]
    assert episodes.alarm_at.tolist() == [6 / 8, INF]


def test_worlds_that_the_disturbance_never_reached_are_left_out() -> None:
    tests = scored_rollouts([[5.0], [5.0]], [0, 0], disturbed_at=[0, INF])
    assert len(evaluate_episodes(flat(1.0), tests, median_steps=8, disturbed=True).failed) == 1


def test_early_scores_end_at_the_median_length_of_successes() -> None:
    episodes = evaluate_episodes(flat(1.0), scored_rollouts([[0, 0, 9.0]], [0]), median_steps=2, disturbed=False)
    assert (episodes.peak[0], episodes.early_peak[0]) == (8, -1)


def test_figures_by_failure_and_overall() -> None:
    natural = scored_rollouts([[0.0], [2.0], [3.0], [0.5]], [1, 1, 0, 1])
    drop = scored_rollouts([[4.0], [0.0], [5.0]], [0, 0, 1], disturbed_at=[0, 0, 0])
    results = evaluate(flat(1.0), {"natural": natural, "drop": drop}, median_steps=2)
    assert results["natural"].false_alarms == pytest.approx(1 / 3)
    assert results["drop"].called == 0.5
    assert results["drop"].balanced == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (results["drop"].recovered, results["drop"].recovered_alarmed) == (1, 1)
    assert (results[OVERALL].failures, results[OVERALL].successes) == (3, 4)
    assert results[OVERALL].balanced == pytest.approx((2 / 3 + 2 / 4) / 2)


def test_what_a_detector_needs_follows_from_its_scores() -> None:
    assert (needs("excess+neighbour"), needs("strangeness"), needs("rnd+elapsed")) == ("energy", "network", "")
    assert len(set(DETECTORS)) == len(DETECTORS)
    assert parse_arguments([]).tuning is False


def seeds_of(study: Study) -> set[int]:
    results = set(study.calibrate(MAX_ROLLOUTS))
    for failure in FAILURES:
        for seeds in (study.detect(failure, MAX_ROLLOUTS), study.retry(failure, MAX_ROLLOUTS)):
            assert not results & set(seeds), "every purpose has its own seeds"
            results |= set(seeds)
    return results


def test_seeds_are_disjoint_and_tuning_stays_below_the_final_ones() -> None:
    assert max(seeds_of(TUNING)) < 10_000
    assert min(seeds_of(FINAL)) >= 150_000
    assert min(FINAL.detect(NATURAL, 1)) == 200_000
    assert min(FINAL.retry(NATURAL, 1)) == 300_000
    with pytest.raises(ValueError, match="seeds for 1000"):
        FINAL.detect(NATURAL, MAX_ROLLOUTS + 1)


def test_failures_are_well_formed_and_their_moments_depend_on_the_seed_alone() -> None:
    assert len({failure.name for failure in FAILURES}) == len(FAILURES)
    assert applicable_failures(()) == (NATURAL,)
    assert (NATURAL.moments(range(3), 50) == -1).all()
    late = Failure("drop", "drop", (0.2, 0.6))
    moments = late.moments(range(200), 50)
    assert moments.min() >= 10
    assert moments.max() < 30
    assert (late.moments(range(100, 102), 50) == moments[100:102]).all()


@pytest.fixture(scope="module")
def scorer() -> Iterator[DetectorScorer]:
    """Scores of an untrained policy on the fork."""
    names = (*(name for name in SCORES if name != "elapsed"), "stac", "spread", "rnd", "logpzo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.uncertainty.detectors.UPDATES", 20)
        patch.setattr("ebt_recipes.uncertainty.reference.UPDATES", 20)
        policies, observations = train(ToyArena(Fork), METHODS[ENERGY].objective, 0, (1,), fit_observations=300)
        yield fit_detectors(policies[1], observations, names)


def test_every_plan_gets_every_score_until_the_world_is_over(scorer: DetectorScorer) -> None:
    results = roll_out_scored(Fork, scorer, Case(range(2)))
    assert set(results.scores) == set(scorer.names)
    for values in results.scores.values():
        assert (np.isfinite(values).sum(axis=1) == results.plans).all()
    assert np.isinf(results.disturbed_at).all()
    assert median_length(results) > 0


def test_only_the_requested_scores_are_computed(scorer: DetectorScorer) -> None:
    subset = DetectorScorer(scorer.plan_sampler, scorer.product_scorer, scorer.novelty, ("spread", "rnd"))
    assert list(roll_out_scored(Fork, subset, Case(range(2))).scores) == ["spread", "rnd"]


def test_a_rollout_does_not_depend_on_the_others_of_its_batch(scorer: DetectorScorer) -> None:
    subset = DetectorScorer(scorer.plan_sampler, scorer.product_scorer, scorer.novelty, ("energy",))
    together, alone = (roll_out_scored(Fork, subset, Case(seeds)) for seeds in (range(4), range(2, 3)))
    assert together.lasted[2] == alone.lasted[0]
    assert together.scores["energy"][2] == pytest.approx(alone.scores["energy"][0], rel=1e-3, abs=1e-4, nan_ok=True)


def test_a_discarded_plan_leaves_no_tail(scorer: DetectorScorer) -> None:
    worlds = Fork()
    worlds.reset(range(2))
    planner, rows = BatchPlanner(scorer.plan_sampler, range(2)), np.arange(2)
    first = planner.plan(worlds.observe(), rows, 0, SamplingBudget())
    assert not first.tail.mask.any()
    planner.discard(0)
    second = planner.plan(worlds.observe(), rows, 3, SamplingBudget())
    assert second.tail.mask.sum(dim=1).tolist() == [0, 5]
    assert not torch.equal(first.samples.x, second.samples.x), "every plan has its own noise"


def test_sets_of_one_distribution_hardly_differ() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, SET, 10, generator=draw) for _ in range(2))
    assert abs(float(discrepancy(one, one))) < 1e-5
    assert float(discrepancy(one, other)) < 0.2 < float(discrepancy(one, other + 1))


def test_observations_far_from_the_data_are_novel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.uncertainty.detectors.UPDATES", 150)
    torch.manual_seed(0)
    novelty = Novelty(4)
    observations = torch.randn(2000, 4)
    novelty.fit(observations)
    for score in (novelty.rnd, novelty.logpzo):
        assert float(score(observations + 4).median()) > 2 * float(score(observations).median())
