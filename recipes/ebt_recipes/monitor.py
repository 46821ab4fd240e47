"""When to stop trusting a rollout: arithmetic on a stream of floats, no torch, no bench, no clock.

Band(times_s, mean, sd, k).threshold(time_s) -> float
EnergyMonitor(band: Band | None, rules: MonitorRules = MonitorRules(), trusted: bool = True)
    .restart(time_s)                         an attempt begins now
    .update(time_s, score) -> Reading        one new plan; Reading(score, threshold, margin, rise)
    .trusted                                 False: too few calibration rollouts, warn only
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan


@dataclass(frozen=True)
class Band:
    """What is normal over time since an attempt began: mean and spread, and how many spreads are allowed."""

    times_s: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    k: float

    def exceedance(self, time_s: float, score: float) -> float:
        """Spreads by which a smoothed score lies above the mean; the band's ends last for ever."""
        mean, sd = self._at(time_s)
        return (score - mean) / sd

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
    """Smoothed over the window."""
    threshold: float
    """NaN without a band."""
    margin: float
    """Spreads above the mean, less the spreads allowed; above 0 is too high. NaN without a band."""
    rise: bool
    """True once, on the plan that crosses."""


class EnergyMonitor:
    """Says when the score of new plans has risen out of the band of successful rollouts.

    Without a band nothing ever rises. Smoothing, hysteresis and the refractory period only ever remove alarms from
    those that the band was calibrated for, so that the stated false-alarm rate still holds per episode.
    """

    def __init__(self, band: Band | None, rules: MonitorRules | None = None, trusted: bool = True) -> None:
        self.band = band
        self.rules = rules or MonitorRules()
        self.trusted = trusted
        self._recent: deque[float] = deque(maxlen=self.rules.window)
        self._begun_s = 0.0
        self._armed = True
        self._quiet = 0

    def restart(self, time_s: float, again: bool = False) -> None:
        """Begin an attempt now; `again` where it follows a retry, which starts the refractory period."""
        self._recent.clear()
        self._begun_s = time_s
        self._armed = True
        self._quiet = self.rules.refractory if again else 0

    def update(self, time_s: float, score: float) -> Reading:
        """Take the score of one new plan. A score that is not finite counts as infinitely bad."""
        self._recent.append(score if isfinite(score) else inf)
        smoothed = sum(self._recent) / len(self._recent)
        if self.band is None:
            return Reading(smoothed, nan, nan, False)
        since_s = time_s - self._begun_s
        margin = self.band.exceedance(since_s, smoothed) - self.band.k
        return Reading(smoothed, self.band.threshold(since_s), margin, self._rises(margin))

    def _rises(self, margin: float) -> bool:
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
