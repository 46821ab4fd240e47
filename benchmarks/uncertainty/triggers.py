"""Triggers of retries beside the product's monitor: random times, or an oracle.

ScheduledTrigger(monitor, times_s)   alarms at these times, whatever the monitor reports; margins are the monitor's
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ebt_recipes.uncertainty.monitor import EnergyMonitor, MonitorReading


class ScheduledTrigger:
    """Implements `Trigger`: alarms with the first plan at or after each of these times, across attempts."""

    def __init__(self, monitor: EnergyMonitor, times_s: Sequence[float]) -> None:
        self.trusted = True
        self._monitor = monitor
        self._times_s = sorted(times_s)

    def restart(self, time_s: float, retry: bool = False, kept_s: float = 0.0) -> None:
        self._monitor.restart(time_s, retry, kept_s)

    def update(self, time_s: float, *scores: float) -> MonitorReading:
        reading = self._monitor.update(time_s, *scores)
        due = bool(self._times_s) and time_s >= self._times_s[0] - 1e-6
        if due:
            self._times_s.pop(0)
        return replace(reading, alarm=due)


def random_times(counts: Sequence[int], lasted_s: Sequence[float], seed: int) -> list[list[float]]:
    """Uniform random times within each undisturbed episode's length; their numbers are a permutation of `counts`."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(np.array(counts))
    return [
        sorted(rng.uniform(0, length_s, count).tolist()) for count, length_s in zip(shuffled, lasted_s, strict=True)
    ]


def oracle_times(
    disturbed_s: float, failed: bool, lasted_s: float, median_s: float, reaction_s: float, retries: int
) -> list[float]:
    """Times at which an oracle retries: `reaction_s` after the disturbance (`disturbed_s`, inf: none).

    Without a disturbance, only in an episode that fails: at the median length of successes, or `reaction_s` before its
    end. In episodes that fail without retries, again after every two further median lengths (back-off and attempt),
    `retries` times in all.
    """
    if not np.isfinite(disturbed_s) and not failed:
        return []
    first_s = disturbed_s + reaction_s if np.isfinite(disturbed_s) else max(0.0, min(median_s, lasted_s - reaction_s))
    return [first_s + 2 * retry * median_s for retry in range(retries if failed else 1)]
