"""When to stop trusting a rollout: arithmetic on a stream of floats, no torch, no bench, no clock.

Trigger                                      what says when; a protocol
    .restart(time_s, again, kept_s)          an attempt begins
    .update(time_s, *scores) -> Reading      one new plan; Reading(score, threshold, margin, rise)
    .trusted                                 False: rises are only noted
EnergyMonitor(bands: ConformalThreshold | Sequence[ConformalThreshold] | None, rules: MonitorRules = MonitorRules(), trusted: bool = True): Trigger
ConformalThreshold(times_s, mean, sd, k, clock=False).threshold(time_s) -> float
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Protocol


@dataclass(frozen=True)
class ConformalThreshold:
    """What one score normally is over time since an attempt began: mean, spread, and how many spreads are allowed."""

    times_s: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    k: float
    clock: bool = False
    """What counts is how long the attempt has lasted, whatever the score."""

    def read(self, time_s: float, score: float) -> float:
        """What is held against the band: a smoothed score, or the time."""
        return time_s if self.clock else score

    def exceedance(self, time_s: float, score: float) -> float:
        """Spreads by which it lies above the mean; the band's ends last for ever."""
        mean, sd = self._at(time_s)
        return (self.read(time_s, score) - mean) / sd

    def threshold(self, time_s: float) -> float:
        mean, sd = self._at(time_s)
        return mean + self.k * sd

    def _at(self, time_s: float) -> tuple[float, float]:
        right = bisect_right(self.times_s, time_s)
        if right == 0 or right == len(self.times_s):
            end = 0 if right == 0 else -1
            return self.mean[end], self.sd[end]
        left = right - 1
        part = (time_s - self.times_s[left]) / (self.times_s[right] - self.times_s[left])
        mean = self.mean[left] + part * (self.mean[right] - self.mean[left])
        sd = self.sd[left] + part * (self.sd[right] - self.sd[left])
        return mean, sd


@dataclass(frozen=True)
class MonitorRules:
    """How a score becomes a rise."""

    window: int = 3
    """Plans that are averaged; calibration smooths with the same window."""
    hysteresis: float = 0.5
    """Spreads by which the score must fall below the threshold before it can rise anew."""
    refractory: int = 8
    """Plans after a rise or a restarted attempt in which none is called: the first plans after a retry are unusual.
    Eight worked in our early trials; the first attempt has none, since calibration watched it from the start."""


@dataclass(frozen=True)
class Reading:
    """What one new plan said."""

    score: float
    """Smoothed over the window, or the time that counts; of several, the spreads by which the worst lies above its mean."""
    threshold: float
    """What the score may be; NaN where nothing tells."""
    margin: float
    """Spreads above the mean, less the spreads allowed; above 0 is too high. NaN where nothing tells."""
    alarm: bool
    """True once, on the plan that crosses."""


class Trigger(Protocol):
    """Says when it goes wrong: by scores (`EnergyMonitor`), by the clock, by somebody who knows."""

    @property
    def trusted(self) -> bool:
        """False: its rises are noted and nothing is done."""
        ...

    def restart(self, time_s: float, again: bool, kept_s: float = 0.0) -> None:
        """Begin an attempt, `again` where it follows a retry.

        `kept_s` of the attempt before it are kept where it goes on in the middle of the task: bands over time go on as well.
        """
        ...

    def update(self, time_s: float, *scores: float) -> Reading:
        """Hear the scores of one new plan; not called while a retry is under way."""
        ...


class EnergyMonitor:
    """Says when the scores of new plans have risen out of the band of successful rollouts.

    Each score has a band of its own. Of several, the one that lies most spreads above its mean counts, against the
    number of spreads that all are allowed. Without a band nothing ever rises. Smoothing, hysteresis and the refractory
    period only ever remove alarms from those that the bands were calibrated for, so that the stated false-alarm rate
    still holds per episode.
    """

    def __init__(
        self,
        bands: ConformalThreshold | Sequence[ConformalThreshold] | None,
        rules: MonitorRules | None = None,
        trusted: bool = True,
    ) -> None:
        self.thresholds = (bands,) if isinstance(bands, ConformalThreshold) else tuple(bands or ())
        self.rules = rules or MonitorRules()
        self.trusted = trusted
        self._recent: deque[list[float]] = deque(maxlen=self.rules.window)
        self._begun_s = self._kept_s = 0.0
        self._armed = True
        self._quiet = 0

    def restart(self, time_s: float, again: bool = False, kept_s: float = 0.0) -> None:
        """After a retry comes the refractory period. The clock starts anew whatever was kept: each attempt has its time."""
        self._recent.clear()
        self._begun_s, self._kept_s = time_s, kept_s
        self._armed = True
        self._quiet = self.rules.refractory if again else 0

    def update(self, time_s: float, *scores: float) -> Reading:
        """Take the scores of one new plan, one a band. A score that is not finite counts as infinitely bad."""
        self._recent.append([score if isfinite(score) else inf for score in scores])
        smoothed = [sum(values) / len(values) for values in zip(*self._recent, strict=True)]
        if not self.thresholds:
            return Reading(smoothed[0], nan, nan, False)
        first, since_s = self.thresholds[0], [self._since(time_s, band) for band in self.thresholds]
        exceedance = max(map(ConformalThreshold.exceedance, self.thresholds, since_s, smoothed))
        alarm = self._crosses(exceedance - first.k)
        if len(self.thresholds) > 1:
            return Reading(exceedance, first.k, exceedance - first.k, alarm)
        read = first.read(since_s[0], smoothed[0])
        return Reading(read, first.threshold(since_s[0]), exceedance - first.k, alarm)

    def _since(self, time_s: float, band: ConformalThreshold) -> float:
        return time_s - self._begun_s + (0.0 if band.clock else self._kept_s)

    def _crosses(self, margin: float) -> bool:
        if margin <= -self.rules.hysteresis:
            self._armed = True
        if self._quiet > 0:
            self._quiet -= 1
            return False
        if margin <= 0 or not self._armed:
            return False
        self._armed = False
        self._quiet = self.rules.refractory
        return True


def smooth(scores: Sequence[float], window: int) -> list[float]:
    """Average every score with up to `window - 1` before it, as the monitor does."""
    return [
        sum(part) / len(part) for end in range(len(scores)) for part in [scores[max(0, end + 1 - window) : end + 1]]
    ]
