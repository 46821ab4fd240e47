import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_data.errors import DataError, MisuseError
from ebt_recipes.uncertainty.conformal import Calibration, Stream, calibrate, needed
from ebt_recipes.uncertainty.monitor import ConformalThreshold

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]  # n -> scores [n, 30]
TIMES_S = 0.4 * np.arange(30)
OLD = Path(__file__).parents[2] / "runs" / "pick_place" / "calibration.json"
"""From before there were several scores."""


def noisy(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = np.sin(TIMES_S) + rng.normal(size=(n, 30)) * (0.2 + TIMES_S / 12)
    return scores


def wandering(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.cumsum(rng.normal(size=(n, 30)), axis=1)


def heavy(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.standard_t(2.5, size=(n, 30))


def offset(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.exponential(size=(n, 1)) + 0.1 * rng.normal(size=(n, 30))


def as_streams(scores: NDArray[np.float64], rng: np.random.Generator) -> list[Stream]:
    """Episodes of different lengths, as successes have."""
    ends = rng.integers(12, 31, size=len(scores))
    return [
        Stream(f"rollout_{i}", tuple(TIMES_S[:end]), tuple(row[:end]))
        for i, (row, end) in enumerate(zip(scores, ends, strict=True))
    ]


def together(*kinds: list[Stream]) -> list[Stream]:
    """Rollouts with a score of every kind, as long as the shortest."""
    return [
        Stream(each[0].name, min(s.times_s for s in each), tuple(zip(*(s.scores for s in each), strict=False)))
        for each in zip(*kinds, strict=True)
    ]


def alarms(calibration: Calibration, streams: list[Stream]) -> float:
    """Fraction of episodes in which the monitor calls a rise."""
    called = 0
    for stream in streams:
        monitor = calibration.monitor()
        monitor.restart(0.0)
        plans = np.reshape(stream.scores, (len(stream.times_s), -1)).tolist()
        called += any([monitor.update(t, *plan).alarm for t, plan in zip(stream.times_s, plans, strict=True)])
    return called / len(streams)


@pytest.mark.parametrize("draw", [noisy, wandering, heavy, offset])
@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (24, 0.05), (50, 0.05), (40, 0.1), (49, 0.02)])
def test_false_alarms_per_episode_stay_at_the_stated_rate(draw: Draw, n: int, alpha: float) -> None:
    rng = np.random.default_rng(1)
    rates = [alarms(calibrate(as_streams(draw(rng, n), rng), alpha), as_streams(draw(rng, 20), rng)) for _ in range(60)]
    # Each rate comes from its own calibration, so that their spread says how sure the mean is.
    assert np.mean(rates) <= alpha + 2.5 * np.std(rates) / np.sqrt(len(rates))


def test_a_real_rise_is_seen() -> None:
    rng = np.random.default_rng(2)
    calibration = calibrate(as_streams(noisy(rng, 50), rng))
    risen = noisy(rng, 50)
    risen[:, 8:] += 6.0
    assert alarms(calibration, as_streams(risen, rng)) > 0.9


def test_a_band_over_time_sees_what_a_constant_one_cannot() -> None:
    rng = np.random.default_rng(3)
    hill = 5 * np.exp(-((TIMES_S - 8) ** 2))  # every success passes a costly phase late
    calm = [Stream(str(i), tuple(TIMES_S), tuple(hill + 0.1 * rng.normal(size=30))) for i in range(50)]
    early = [Stream("early", tuple(TIMES_S), tuple(hill + 2.0 * (TIMES_S < 4)))]
    assert alarms(calibrate(calm), early) == 1.0


@pytest.mark.parametrize(("alpha", "rollouts"), [(0.05, 19), (0.1, 9), (0.02, 49), (0.07, 14), (0.5, 1)])
def test_a_rate_takes_so_many_rollouts(alpha: float, rollouts: int) -> None:
    assert needed(alpha) == rollouts


def test_too_few_rollouts_only_warn_and_say_so() -> None:
    rng = np.random.default_rng(4)
    calibration = calibrate(as_streams(noisy(rng, 18), rng))
    assert not calibration.enough
    assert not calibration.monitor().trusted
    assert "19" in calibration.warning


def test_enough_rollouts_are_trusted() -> None:
    rng = np.random.default_rng(4)
    calibration = calibrate(as_streams(noisy(rng, 19), rng))
    assert calibration.monitor().trusted
    assert calibration.warning == ""


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    calibration = calibrate(as_streams(noisy(rng, 30), rng), score="descent")
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration


@pytest.mark.parametrize("change", [{"mean": []}, {"sd": [0.0]}, {"alpha": 2}, {"surprise": 1}, {"k": "NaN"}])
def test_a_calibration_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "calibration.json"
    calibrate([Stream("one", (0.0, 1.0), (0.0, 1.0))]).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"calibration\.json"):
        Calibration.load(path)


def test_no_calibration_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Calibration.load(tmp_path / "calibration.json")
    assert "--calibrate" in caught.value.hint


def test_nothing_and_nonsense_are_refused() -> None:
    with pytest.raises(MisuseError):
        calibrate([])
    with pytest.raises(DataError):
        calibrate([Stream("one", (0.0,), (float("nan"),))])


@pytest.mark.parametrize("n", [22, 26, 50])
def test_the_rate_holds_for_several_scores_together(n: int) -> None:
    rng = np.random.default_rng(6)

    def both(n: int) -> list[Stream]:
        return together(as_streams(1000 * heavy(rng, n), rng), as_streams(noisy(rng, n), rng))

    rates = [alarms(calibrate(both(n), score="energy+tail"), both(20)) for _ in range(60)]
    assert np.mean(rates) <= 0.05 + 2.5 * np.std(rates) / np.sqrt(len(rates))


@pytest.mark.parametrize("risen", [0, 1])
def test_a_rise_of_either_score_is_seen_whatever_its_units(risen: int) -> None:
    rng = np.random.default_rng(7)

    def both(n: int, rise: float) -> list[Stream]:
        scores = [noisy(rng, n), noisy(rng, n)]
        scores[risen][:, 8:] += rise
        return together(as_streams(1000 * scores[0], rng), as_streams(scores[1], rng))

    assert alarms(calibrate(both(50, 0.0), score="energy+tail"), both(50, 8.0)) > 0.9


def test_several_scores_need_three_rollouts_more_for_their_spreads() -> None:
    rng = np.random.default_rng(8)
    streams = together(as_streams(noisy(rng, 22), rng), as_streams(noisy(rng, 22), rng))
    assert calibrate(streams, score="energy+tail").enough
    few = calibrate(streams[:21], score="energy+tail")
    assert not few.enough
    assert few.warning.startswith("21 successful rollouts cannot promise 5% false alarms per episode, which takes 22")


def test_several_scores_survive_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    streams = together(as_streams(noisy(rng, 30), rng), as_streams(heavy(rng, 30), rng))
    calibration = calibrate(streams, score="energy+tail")
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration
    assert [len(band.mean) for band in calibration.thresholds] == [len(calibration.times_s)] * 2


def test_a_file_from_before_there_were_several_scores_still_loads() -> None:
    calibration, old = Calibration.load(OLD), json.loads(OLD.read_text())
    assert calibration.thresholds == (
        ConformalThreshold(tuple(old["times_s"]), tuple(old["mean"]), tuple(old["sd"]), old["k"]),
    )
    assert calibration.monitor().trusted


@pytest.mark.parametrize("score", ["energy", "energy+tail+jump"])
def test_scores_that_are_not_those_named_are_refused(score: str) -> None:
    with pytest.raises(DataError, match="without a finite energy"):
        calibrate([Stream("one", (0.0,), ((0.0, 1.0),))], score=score)


@pytest.mark.parametrize("score", ["elapsed", "energy+elapsed", "elapsed+energy"])
def test_an_attempt_that_takes_longer_than_successes_do_is_told_by_the_clock(score: str) -> None:
    rng = np.random.default_rng(11)
    lengths = rng.integers(8, 15, 60)
    parts = score.split("+")

    def stream(plans: int) -> Stream:
        scores = [tuple(1e6 if part == "elapsed" else float(rng.normal()) for part in parts) for _ in range(plans)]
        return Stream(f"{plans}", tuple(0.2 * np.arange(plans)), tuple(scores))

    monitor = calibrate([stream(plans) for plans in lengths], score=score).monitor()
    for again, kept_s in ((False, 0.0), (True, 0.0), (True, 2.5)):  # a retry has as long, wherever it goes on
        monitor.restart(100.0, again, kept_s)
        plans = [(100.0 + 0.2 * plan, 0.0) for plan in range(25)]
        rises = [
            plan for plan, (time_s, value) in enumerate(plans) if monitor.update(time_s, *[value] * len(parts)).alarm
        ]
        assert len(rises) == 1 and 14 <= rises[0] <= 18


def test_the_rate_holds_with_the_clock() -> None:
    rng = np.random.default_rng(12)

    def some(n: int) -> list[Stream]:
        found = []
        for scores in noisy(rng, n):
            plans = int(rng.integers(6, len(scores) + 1))
            pairs = tuple((float(score), 0.0) for score in scores[:plans])
            found.append(Stream("", tuple(0.2 * np.arange(plans)), pairs))
        return found

    rates = [alarms(calibrate(some(30), score="energy+elapsed"), some(20)) for _ in range(60)]
    assert np.mean(rates) <= 0.05 + 2.5 * np.std(rates) / np.sqrt(len(rates))


def test_a_stricter_rate_says_what_it_takes() -> None:
    rng = np.random.default_rng(10)
    streams = as_streams(noisy(rng, 49), rng)
    assert calibrate(streams, alpha=0.02).enough
    warning = calibrate(streams[:48], alpha=0.02).warning
    assert warning.startswith("48 successful rollouts cannot promise 2% false alarms per episode, which takes 49")
    assert "promise 0.5% " in calibrate(streams, alpha=0.005).warning
