"""Runtime monitor of a rollout: raises an alarm when the scores of its plans exceed their conformal thresholds.

Trigger                                           a protocol
    .restart(time_s, retry, kept_s)               an attempt starts
    .update(time_s, *scores) -> MonitorReading    one new plan; MonitorReading(score, threshold, margin, alarm)
    .trusted                                      False: alarms are only recorded
EnergyMonitor(thresholds: ConformalThreshold | Sequence[ConformalThreshold] | None,
              rules: MonitorRules = MonitorRules(), trusted: bool = True): Trigger
ConformalThreshold(times_s, mean, sd, k, clock=False).threshold(time_s) -> float

It depends on floats only: no torch, no bench, no clock.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Protocol


@dataclass(frozen=True)
class ConformalThreshold:
    """Threshold of one score over the time since an attempt started: mean + k * sd of successful rollouts."""

    times_s: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    k: float
    """Standard deviations above the mean that are allowed."""
    clock: bool = False
    """Applies to the duration of the attempt instead of the score."""

    def value(self, time_s: float, score: float) -> float:
        """The value compared with the threshold: the smoothed score, or the time."""
        return time_s if self.clock else score

    def exceedance(self, time_s: float, score: float) -> float:
        """Standard deviations above the mean; outside `times_s` the first or last point applies."""
        mean, sd = self._at(time_s)
        return (self.value(time_s, score) - mean) / sd

    def threshold(self, time_s: float) -> float:
        mean, sd = self._at(time_s)
        return mean + self.k * sd

    def _at(self, time_s: float) -> tuple[float, float]:
        right = bisect_right(self.times_s, time_s)
        if right == 0 or right == len(self.times_s):
            end = 0 if right == 0 else -1
            return self.mean[end], self.sd[end]
        left = right - 1
        fraction = (time_s - self.times_s[left]) / (self.times_s[right] - self.times_s[left])
        mean = self.mean[left] + fraction * (self.mean[right] - self.mean[left])
        sd = self.sd[left] + fraction * (self.sd[right] - self.sd[left])
        return mean, sd


@dataclass(frozen=True)
class MonitorRules:
    """How scores become alarms."""

    window: int = 3
    """Plans averaged; calibration smooths with the same window."""
    hysteresis: float = 0.5
    """Standard deviations that the score must fall below the threshold before the next alarm."""
    refractory: int = 8
    """Plans without alarms after an alarm or a retry, since the first plans after a retry are out of distribution.
    Eight worked in our early trials; the first attempt has none, since calibration covers it from the start."""


@dataclass(frozen=True)
class MonitorReading:
    """Result of the monitor for one new plan."""

    score: float
    """Smoothed score, or the duration; of several scores, the largest exceedance in standard deviations."""
    threshold: float
    """Threshold of `score`; NaN if there is none."""
    margin: float
    """Standard deviations above the threshold; an alarm requires more than 0. NaN if there is no threshold."""
    alarm: bool
    """True for the one plan at which the score crosses its threshold."""


class Trigger(Protocol):
    """Raises alarms: from scores (`EnergyMonitor`), from the clock, or from an oracle."""

    @property
    def trusted(self) -> bool:
        """False: alarms are only recorded."""
        ...

    def restart(self, time_s: float, retry: bool, kept_s: float = 0.0) -> None:
        """Start an attempt; `retry`: it follows a retry.

        `kept_s` is the time in the task that the retry kept; thresholds over time continue from there.
        """
        ...

    def update(self, time_s: float, *scores: float) -> MonitorReading:
        """Process the scores of one new plan; not called during a retry."""
        ...


class EnergyMonitor:
    """Raises an alarm when the scores of new plans exceed the conformal thresholds of successful rollouts.

    Each score has its own threshold. Of several scores, the largest exceedance in standard deviations counts, against
    the shared k. Without thresholds there are no alarms. Smoothing, hysteresis and the refractory period can only
    remove alarms from those that the thresholds were calibrated for, so that the stated false-alarm rate still holds
    per episode.
    """

    def __init__(
        self,
        thresholds: ConformalThreshold | Sequence[ConformalThreshold] | None,
        rules: MonitorRules | None = None,
        trusted: bool = True,
    ) -> None:
        self.thresholds = (thresholds,) if isinstance(thresholds, ConformalThreshold) else tuple(thresholds or ())
        self.rules = rules or MonitorRules()
        self.trusted = trusted
        self._recent: deque[list[float]] = deque(maxlen=self.rules.window)
        self._start_s = self._kept_s = 0.0
        self._armed = True
        self._refractory_left = 0

    def restart(self, time_s: float, retry: bool = False, kept_s: float = 0.0) -> None:
        """Start an attempt, after a retry in the refractory period; clock thresholds measure from `time_s`."""
        self._recent.clear()
        self._start_s, self._kept_s = time_s, kept_s
        self._armed = True
        self._refractory_left = self.rules.refractory if retry else 0

    def update(self, time_s: float, *scores: float) -> MonitorReading:
        """Process one new plan, with one score per threshold. A score that is not finite counts as infinite."""
        self._recent.append([score if isfinite(score) else inf for score in scores])
        smoothed = [sum(values) / len(values) for values in zip(*self._recent, strict=True)]
        if not self.thresholds:
            return MonitorReading(smoothed[0], nan, nan, False)
        first, since_s = self.thresholds[0], [self._since(time_s, threshold) for threshold in self.thresholds]
        exceedance = max(map(ConformalThreshold.exceedance, self.thresholds, since_s, smoothed))
        alarm = self._crosses(exceedance - first.k)
        if len(self.thresholds) > 1:
            return MonitorReading(exceedance, first.k, exceedance - first.k, alarm)
        value = first.value(since_s[0], smoothed[0])
        return MonitorReading(value, first.threshold(since_s[0]), exceedance - first.k, alarm)

    def _since(self, time_s: float, threshold: ConformalThreshold) -> float:
        return time_s - self._start_s + (0.0 if threshold.clock else self._kept_s)

    def _crosses(self, margin: float) -> bool:
        if margin <= -self.rules.hysteresis:
            self._armed = True
        if self._refractory_left > 0:
            self._refractory_left -= 1
            return False
        if margin <= 0 or not self._armed:
            return False
        self._armed = False
        self._refractory_left = self.rules.refractory
        return True


def smooth(scores: Sequence[float], window: int) -> list[float]:
    """Average every score with up to `window - 1` previous scores, as the monitor does."""
    return [
        sum(part) / len(part) for end in range(len(scores)) for part in [scores[max(0, end + 1 - window) : end + 1]]
    ]
