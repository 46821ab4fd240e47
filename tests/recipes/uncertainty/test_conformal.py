import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_data.errors import DataError, MisuseError
from ebt_recipes.uncertainty.conformal import Calibration, ScoreSeries, calibrate, needed
from ebt_recipes.uncertainty.monitor import ConformalThreshold

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]  # n -> scores [n, 30]
TIMES_S = 0.4 * np.arange(30)
OLD = Path(__file__).parents[2] / "runs" / "pick_place" / "calibration.json"
"""Written before several scores were supported."""


def noisy(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = np.sin(TIMES_S) + rng.normal(size=(n, 30)) * (0.2 + TIMES_S / 12)
    return scores


def wandering(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.cumsum(rng.normal(size=(n, 30)), axis=1)


def heavy(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.standard_t(2.5, size=(n, 30))


def offset(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.exponential(size=(n, 1)) + 0.1 * rng.normal(size=(n, 30))


def as_series(scores: NDArray[np.float64], rng: np.random.Generator) -> list[ScoreSeries]:
    """Episodes of different lengths, as successes have."""
    ends = rng.integers(12, 31, size=len(scores))
    return [
        ScoreSeries(f"rollout_{i}", tuple(TIMES_S[:end]), tuple(row[:end]))
        for i, (row, end) in enumerate(zip(scores, ends, strict=True))
    ]


def joined(*kinds: list[ScoreSeries]) -> list[ScoreSeries]:
    """Series with a score of every kind, truncated to the shortest."""
    return [
        ScoreSeries(each[0].name, min(s.times_s for s in each), tuple(zip(*(s.scores for s in each), strict=False)))
        for each in zip(*kinds, strict=True)
    ]


def alarm_rate(calibration: Calibration, series: list[ScoreSeries]) -> float:
    """Fraction of episodes with an alarm."""
    alarms = 0
    for each in series:
        monitor = calibration.monitor()
        monitor.restart(0.0)
        plans = np.reshape(each.scores, (len(each.times_s), -1)).tolist()
        alarms += any([monitor.update(t, *plan).alarm for t, plan in zip(each.times_s, plans, strict=True)])
    return alarms / len(series)


@pytest.mark.parametrize("draw", [noisy, wandering, heavy, offset])
@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (24, 0.05), (50, 0.05), (40, 0.1), (49, 0.02)])
def test_false_alarms_per_episode_stay_at_the_stated_rate(draw: Draw, n: int, alpha: float) -> None:
    rng = np.random.default_rng(1)
    rates = [
        alarm_rate(calibrate(as_series(draw(rng, n), rng), alpha), as_series(draw(rng, 20), rng)) for _ in range(60)
    ]
    # Each rate has its own calibration, so that their standard deviation gives the error of the mean.
    assert np.mean(rates) <= alpha + 2.5 * np.std(rates) / np.sqrt(len(rates))


def test_a_lasting_increase_of_the_score_raises_an_alarm() -> None:
    rng = np.random.default_rng(2)
    calibration = calibrate(as_series(noisy(rng, 50), rng))
    risen = noisy(rng, 50)
    risen[:, 8:] += 6.0
    assert alarm_rate(calibration, as_series(risen, rng)) > 0.9


def test_a_threshold_over_time_detects_what_a_constant_one_cannot() -> None:
    rng = np.random.default_rng(3)
    hill = 5 * np.exp(-((TIMES_S - 8) ** 2))  # every success passes a costly phase late
    calm = [ScoreSeries(str(i), tuple(TIMES_S), tuple(hill + 0.1 * rng.normal(size=30))) for i in range(50)]
    early = [ScoreSeries("early", tuple(TIMES_S), tuple(hill + 2.0 * (TIMES_S < 4)))]
    assert alarm_rate(calibrate(calm), early) == 1.0


@pytest.mark.parametrize(("alpha", "rollouts"), [(0.05, 19), (0.1, 9), (0.02, 49), (0.07, 14), (0.5, 1)])
def test_a_rate_needs_a_minimum_of_rollouts(alpha: float, rollouts: int) -> None:
    assert needed(alpha) == rollouts


def test_too_few_rollouts_are_not_trusted_and_give_a_warning() -> None:
    rng = np.random.default_rng(4)
    calibration = calibrate(as_series(noisy(rng, 18), rng))
    assert not calibration.enough
    assert not calibration.monitor().trusted
    assert "19" in calibration.warning


def test_enough_rollouts_are_trusted() -> None:
    rng = np.random.default_rng(4)
    calibration = calibrate(as_series(noisy(rng, 19), rng))
    assert calibration.monitor().trusted
    assert calibration.warning == ""


def test_a_calibration_round_trips_through_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    calibration = calibrate(as_series(noisy(rng, 30), rng), score="descent")
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration


@pytest.mark.parametrize("change", [{"mean": []}, {"sd": [0.0]}, {"alpha": 2}, {"surprise": 1}, {"k": "NaN"}])
def test_an_invalid_calibration_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "calibration.json"
    calibrate([ScoreSeries("one", (0.0, 1.0), (0.0, 1.0))]).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"calibration\.json"):
        Calibration.load(path)


def test_a_missing_calibration_gives_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Calibration.load(tmp_path / "calibration.json")
    assert "--calibrate" in caught.value.hint


def test_no_series_and_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(MisuseError):
        calibrate([])
    with pytest.raises(DataError):
        calibrate([ScoreSeries("one", (0.0,), (float("nan"),))])


@pytest.mark.parametrize("n", [22, 26, 50])
def test_the_rate_holds_for_several_scores_together(n: int) -> None:
    rng = np.random.default_rng(6)

    def both(n: int) -> list[ScoreSeries]:
        return joined(as_series(1000 * heavy(rng, n), rng), as_series(noisy(rng, n), rng))

    rates = [alarm_rate(calibrate(both(n), score="energy+tail"), both(20)) for _ in range(60)]
    assert np.mean(rates) <= 0.05 + 2.5 * np.std(rates) / np.sqrt(len(rates))


@pytest.mark.parametrize("risen", [0, 1])
def test_an_increase_of_either_score_raises_an_alarm_in_any_units(risen: int) -> None:
    rng = np.random.default_rng(7)

    def both(n: int, rise: float) -> list[ScoreSeries]:
        scores = [noisy(rng, n), noisy(rng, n)]
        scores[risen][:, 8:] += rise
        return joined(as_series(1000 * scores[0], rng), as_series(scores[1], rng))

    assert alarm_rate(calibrate(both(50, 0.0), score="energy+tail"), both(50, 8.0)) > 0.9


def test_several_scores_need_three_more_rollouts_for_their_standard_deviations() -> None:
    rng = np.random.default_rng(8)
    series = joined(as_series(noisy(rng, 22), rng), as_series(noisy(rng, 22), rng))
    assert calibrate(series, score="energy+tail").enough
    few = calibrate(series[:21], score="energy+tail")
    assert not few.enough
    assert few.warning.startswith("21 successful rollouts cannot guarantee 5% false alarms per episode, which needs 22")


def test_several_scores_round_trip_through_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    series = joined(as_series(noisy(rng, 30), rng), as_series(heavy(rng, 30), rng))
    calibration = calibrate(series, score="energy+tail")
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration
    assert [len(threshold.mean) for threshold in calibration.thresholds] == [len(calibration.times_s)] * 2


def test_a_file_written_before_several_scores_were_supported_still_loads() -> None:
    calibration, old = Calibration.load(OLD), json.loads(OLD.read_text())
    assert calibration.thresholds == (
        ConformalThreshold(tuple(old["times_s"]), tuple(old["mean"]), tuple(old["sd"]), old["k"]),
    )
    assert calibration.monitor().trusted


@pytest.mark.parametrize("score", ["energy", "energy+tail+jump"])
def test_scores_that_do_not_match_the_names_are_refused(score: str) -> None:
    with pytest.raises(DataError, match="without a finite energy"):
        calibrate([ScoreSeries("one", (0.0,), ((0.0, 1.0),))], score=score)


@pytest.mark.parametrize("score", ["elapsed", "energy+elapsed", "elapsed+energy"])
def test_an_attempt_that_takes_longer_than_successes_raises_an_alarm_by_the_clock(score: str) -> None:
    rng = np.random.default_rng(11)
    lengths = rng.integers(8, 15, 60)
    parts = score.split("+")

    def one_series(plans: int) -> ScoreSeries:
        scores = [tuple(1e6 if part == "elapsed" else float(rng.normal()) for part in parts) for _ in range(plans)]
        return ScoreSeries(f"{plans}", tuple(0.2 * np.arange(plans)), tuple(scores))

    monitor = calibrate([one_series(plans) for plans in lengths], score=score).monitor()
    for retry, kept_s in ((False, 0.0), (True, 0.0), (True, 2.5)):  # a retry has the same time, whatever it keeps
        monitor.restart(100.0, retry, kept_s)
        plans = [(100.0 + 0.2 * plan, 0.0) for plan in range(25)]
        alarms = [
            plan for plan, (time_s, value) in enumerate(plans) if monitor.update(time_s, *[value] * len(parts)).alarm
        ]
        assert len(alarms) == 1 and 14 <= alarms[0] <= 18


def test_the_rate_holds_with_the_clock() -> None:
    rng = np.random.default_rng(12)

    def draw(n: int) -> list[ScoreSeries]:
        series = []
        for scores in noisy(rng, n):
            plans = int(rng.integers(6, len(scores) + 1))
            pairs = tuple((float(score), 0.0) for score in scores[:plans])
            series.append(ScoreSeries("", tuple(0.2 * np.arange(plans)), pairs))
        return series

    rates = [alarm_rate(calibrate(draw(30), score="energy+elapsed"), draw(20)) for _ in range(60)]
    assert np.mean(rates) <= 0.05 + 2.5 * np.std(rates) / np.sqrt(len(rates))


def test_a_stricter_rate_reports_the_rollouts_it_needs() -> None:
    rng = np.random.default_rng(10)
    series = as_series(noisy(rng, 49), rng)
    assert calibrate(series, alpha=0.02).enough
    warning = calibrate(series[:48], alpha=0.02).warning
    assert warning.startswith("48 successful rollouts cannot guarantee 2% false alarms per episode, which needs 49")
    assert "guarantee 0.5% " in calibrate(series, alpha=0.005).warning
