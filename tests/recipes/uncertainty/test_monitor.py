from math import inf, isnan, nan

import pytest

from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules, smooth

FLAT = ConformalThreshold((0.0,), (0.0,), (1.0,), 2.0)  # threshold 2 at all times


def alarms(monitor: EnergyMonitor, scores: list[float]) -> list[bool]:
    return [monitor.update(float(t), score).alarm for t, score in enumerate(scores)]


def started(threshold: ConformalThreshold | None = FLAT, window: int = 1, refractory: int = 0) -> EnergyMonitor:
    monitor = EnergyMonitor(threshold, MonitorRules(window=window, hysteresis=0.5, refractory=refractory))
    monitor.restart(0.0)
    return monitor


def test_scores_below_the_threshold_raise_no_alarm() -> None:
    assert not any(alarms(started(), [1.9, -5.0, 2.0, 0.0]))


def test_crossing_the_threshold_raises_one_alarm() -> None:
    assert alarms(started(), [1.0, 2.1, 3.0, 4.0]) == [False, True, False, False]


def test_a_spike_within_the_window_is_smoothed_away() -> None:
    assert not any(alarms(started(window=3), [1.0, 1.0, 3.5, 1.0, 1.0]))


def test_a_lasting_increase_raises_an_alarm_within_the_window() -> None:
    assert alarms(started(window=3), [1.0, 1.0, 3.0, 3.0]) == [False, False, False, True]


def test_dithering_about_the_threshold_raises_one_alarm() -> None:
    assert alarms(started(), [2.1, 1.9, 2.1, 1.9, 2.1]) == [True, False, False, False, False]


def test_a_score_that_fell_well_below_can_raise_another_alarm() -> None:
    assert alarms(started(), [2.1, 1.4, 2.1]) == [True, False, True]


def test_the_refractory_period_has_no_alarms() -> None:
    monitor = started(refractory=2)
    monitor.restart(10.0, retry=True)
    assert alarms(monitor, [9.0, 9.0, 9.0]) == [False, False, True]


def test_the_first_attempt_has_no_refractory_period() -> None:
    assert alarms(started(refractory=5), [9.0]) == [True]


def test_a_restart_clears_the_window_and_restarts_the_threshold() -> None:
    threshold = ConformalThreshold((0.0, 10.0), (0.0, 100.0), (1.0, 1.0), 1.0)
    monitor = started(threshold, window=2)
    monitor.update(10.0, 100.0)
    monitor.restart(10.0, retry=True)
    reading = monitor.update(10.0, 0.5)
    assert (reading.score, reading.threshold) == (0.5, 1.0)


def test_the_threshold_is_interpolated_and_constant_outside_its_times() -> None:
    threshold = ConformalThreshold((1.0, 3.0), (0.0, 4.0), (1.0, 2.0), 2.0)
    assert [threshold.threshold(t) for t in (0.0, 1.0, 2.0, 3.0, 99.0)] == [2.0, 2.0, 5.0, 8.0, 8.0]


@pytest.mark.parametrize("score", [nan, inf, -inf])
def test_a_score_that_is_not_finite_raises_an_alarm(score: float) -> None:
    assert alarms(started(), [0.0, score]) == [False, True]


def test_without_a_threshold_there_are_no_alarms() -> None:
    monitor = started(None)
    reading = monitor.update(0.0, 1e9)
    assert not reading.alarm
    assert isnan(reading.threshold)


def test_smooth_agrees_with_the_monitor() -> None:
    scores = [3.0, 1.0, 4.0, 1.0, 5.0]
    monitor = started(window=3)
    assert smooth(scores, 3) == pytest.approx([monitor.update(t, score).score for t, score in enumerate(scores)])


SLOPE = ConformalThreshold((0.0, 10.0), (100.0, 200.0), (10.0, 10.0), 2.0)  # threshold 120 at first


def test_of_several_scores_the_largest_exceedance_counts() -> None:
    monitor = EnergyMonitor([FLAT, SLOPE], MonitorRules(window=1, refractory=0))
    monitor.restart(0.0)
    calm, first, second = (monitor.update(0.0, *scores) for scores in ((1.0, 105.0), (1.0, 125.0), (3.0, 100.0)))
    assert (calm.score, calm.threshold, calm.margin, calm.alarm) == (1.0, 2.0, -1.0, False)
    assert (first.score, first.threshold, first.margin, first.alarm) == (2.5, 2.0, 0.5, True)
    assert (second.score, second.alarm) == (3.0, False)


def test_every_score_has_its_own_smoothing_and_threshold() -> None:
    monitor = EnergyMonitor([FLAT, SLOPE], MonitorRules(window=2))
    monitor.restart(0.0)
    monitor.update(0.0, 0.0, 100.0)
    assert monitor.update(5.0, 0.0, 210.0).score == pytest.approx((155 - 150) / 10)


@pytest.mark.parametrize("scores", [(nan, 100.0), (0.0, inf)])
def test_one_score_of_several_that_is_not_finite_raises_an_alarm(scores: tuple[float, float]) -> None:
    assert EnergyMonitor([FLAT, SLOPE]).update(0.0, *scores).alarm


def test_one_threshold_in_a_list_keeps_the_units_of_its_score() -> None:
    listed, alone = EnergyMonitor([SLOPE]), EnergyMonitor(SLOPE)
    assert listed.update(0.0, 130.0) == alone.update(0.0, 130.0)
    assert listed.update(1.0, 90.0).threshold == 130.0
