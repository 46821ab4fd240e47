import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_data.errors import DataError, MisuseError
from ebt_recipes.calibrate import Calibration, Stream, calibrate, needed

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]  # n -> scores [n, 30]
TIMES_S = 0.4 * np.arange(30)


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


def alarms(calibration: Calibration, streams: list[Stream]) -> float:
    """Fraction of episodes in which the monitor calls a rise."""
    called = 0
    for stream in streams:
        monitor = calibration.monitor()
        monitor.restart(0.0)
        called += any([monitor.update(t, s).rise for t, s in zip(stream.times_s, stream.scores, strict=True)])
    return called / len(streams)


@pytest.mark.parametrize("draw", [noisy, wandering, heavy, offset])
@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (24, 0.05), (50, 0.05), (40, 0.1)])
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
