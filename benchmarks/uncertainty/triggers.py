"""What says when to try again, beside the product's monitor: a coin, or someone who knows.

Scheduled(monitor, times_s)      at these times, whatever the monitor says; its margins still tell how bad it looks
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ebt_recipes.uncertainty.monitor import EnergyMonitor, Reading


class Scheduled:
    """Implements `Trigger`: rises with the first plan at or after each of these times, whatever attempts come between."""

    def __init__(self, monitor: EnergyMonitor, times_s: Sequence[float]) -> None:
        self.trusted = True
        self._monitor = monitor
        self._times_s = sorted(times_s)

    def restart(self, time_s: float, again: bool = False, kept_s: float = 0.0) -> None:
        self._monitor.restart(time_s, again, kept_s)

    def update(self, time_s: float, *scores: float) -> Reading:
        reading = self._monitor.update(time_s, *scores)
        due = bool(self._times_s) and time_s >= self._times_s[0] - 1e-6
        if due:
            self._times_s.pop(0)
        return replace(reading, alarm=due)


def random_times(counts: Sequence[int], lasted_s: Sequence[float], seed: int) -> list[list[float]]:
    """As many times for each episode as some episode of `counts` had, evenly over how long it lasts untouched."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(np.array(counts))
    return [sorted(rng.uniform(0, lasts, count).tolist()) for count, lasts in zip(shuffled, lasted_s, strict=True)]


def oracle_times(
    began_s: float, failed: bool, lasted_s: float, usual_s: float, reaction_s: float, retries: int
) -> list[float]:
    """When someone who knows would step in: so long after what was done to the world (`began_s`, inf: nothing was).

    Where nothing was done, only in an episode that fails: when a usual success would be over, or so long before it fails.
    In episodes that fail without, again after every further two, `retries` times in all: a way back and a try.
    """
    if not np.isfinite(began_s) and not failed:
        return []
    first_s = began_s + reaction_s if np.isfinite(began_s) else max(0.0, min(usual_s, lasted_s - reaction_s))
    return [first_s + 2 * again * usual_s for again in range(retries if failed else 1)]
