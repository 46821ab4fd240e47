from math import inf, isnan, nan

import pytest

from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules, smooth

FLAT = ConformalThreshold((0.0,), (0.0,), (1.0,), 2.0)  # threshold 2 at all times


def rises(monitor: EnergyMonitor, scores: list[float]) -> list[bool]:
    return [monitor.update(float(t), score).alarm for t, score in enumerate(scores)]


def watching(band: ConformalThreshold | None = FLAT, window: int = 1, refractory: int = 0) -> EnergyMonitor:
    monitor = EnergyMonitor(band, MonitorRules(window=window, hysteresis=0.5, refractory=refractory))
    monitor.restart(0.0)
    return monitor


def test_scores_inside_the_band_never_rise() -> None:
    assert not any(rises(watching(), [1.9, -5.0, 2.0, 0.0]))


def test_crossing_the_band_rises_once() -> None:
    assert rises(watching(), [1.0, 2.1, 3.0, 4.0]) == [False, True, False, False]


def test_a_spike_inside_the_window_is_forgiven() -> None:
    assert not any(rises(watching(window=3), [1.0, 1.0, 3.5, 1.0, 1.0]))


def test_a_lasting_rise_is_called_within_the_window() -> None:
    assert rises(watching(window=3), [1.0, 1.0, 3.0, 3.0]) == [False, False, False, True]


def test_dithering_about_the_threshold_rises_once() -> None:
    assert rises(watching(), [2.1, 1.9, 2.1, 1.9, 2.1]) == [True, False, False, False, False]


def test_a_score_that_fell_well_below_can_rise_anew() -> None:
    assert rises(watching(), [2.1, 1.4, 2.1]) == [True, False, True]


def test_nothing_rises_in_the_refractory_period() -> None:
    monitor = watching(refractory=2)
    monitor.restart(10.0, again=True)
    assert rises(monitor, [9.0, 9.0, 9.0]) == [False, False, True]


def test_the_first_attempt_has_no_refractory_period() -> None:
    assert rises(watching(refractory=5), [9.0]) == [True]


def test_a_restart_forgets_the_window_and_begins_the_band_anew() -> None:
    band = ConformalThreshold((0.0, 10.0), (0.0, 100.0), (1.0, 1.0), 1.0)
    monitor = watching(band, window=2)
    monitor.update(10.0, 100.0)
    monitor.restart(10.0, again=True)
    reading = monitor.update(10.0, 0.5)
    assert (reading.score, reading.threshold) == (0.5, 1.0)


def test_the_threshold_runs_between_its_points_and_lasts_beyond_them() -> None:
    band = ConformalThreshold((1.0, 3.0), (0.0, 4.0), (1.0, 2.0), 2.0)
    assert [band.threshold(t) for t in (0.0, 1.0, 2.0, 3.0, 99.0)] == [2.0, 2.0, 5.0, 8.0, 8.0]


@pytest.mark.parametrize("score", [nan, inf, -inf])
def test_a_score_that_is_no_number_counts_as_risen(score: float) -> None:
    assert rises(watching(), [0.0, score]) == [False, True]


def test_without_a_band_nothing_rises() -> None:
    monitor = watching(None)
    reading = monitor.update(0.0, 1e9)
    assert not reading.alarm
    assert isnan(reading.threshold)


def test_smoothing_is_what_the_monitor_does() -> None:
    scores = [3.0, 1.0, 4.0, 1.0, 5.0]
    monitor = watching(window=3)
    assert smooth(scores, 3) == pytest.approx([monitor.update(t, score).score for t, score in enumerate(scores)])


SLOPE = ConformalThreshold((0.0, 10.0), (100.0, 200.0), (10.0, 10.0), 2.0)  # threshold 120 at first


def test_of_several_scores_the_largest_exceedance_counts() -> None:
    monitor = EnergyMonitor([FLAT, SLOPE], MonitorRules(window=1, refractory=0))
    monitor.restart(0.0)
    calm, first, second = (monitor.update(0.0, *scores) for scores in ((1.0, 105.0), (1.0, 125.0), (3.0, 100.0)))
    assert (calm.score, calm.threshold, calm.margin, calm.alarm) == (1.0, 2.0, -1.0, False)
    assert (first.score, first.threshold, first.margin, first.alarm) == (2.5, 2.0, 0.5, True)
    assert (second.score, second.alarm) == (3.0, False)


def test_every_score_is_smoothed_and_banded_on_its_own() -> None:
    monitor = EnergyMonitor([FLAT, SLOPE], MonitorRules(window=2))
    monitor.restart(0.0)
    monitor.update(0.0, 0.0, 100.0)
    assert monitor.update(5.0, 0.0, 210.0).score == pytest.approx((155 - 150) / 10)


@pytest.mark.parametrize("scores", [(nan, 100.0), (0.0, inf)])
def test_one_score_of_several_that_is_no_number_counts_as_risen(scores: tuple[float, float]) -> None:
    assert EnergyMonitor([FLAT, SLOPE]).update(0.0, *scores).alarm


def test_one_band_in_a_list_reads_in_its_own_units() -> None:
    listed, alone = EnergyMonitor([SLOPE]), EnergyMonitor(SLOPE)
    assert listed.update(0.0, 130.0) == alone.update(0.0, 130.0)
    assert listed.update(1.0, 90.0).threshold == 130.0
