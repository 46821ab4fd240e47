"""Results of rollouts with scores and of rollouts with retries, on any task.

Shapes: N rollouts, P plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RATE_HZ = 20.0
"""Rate of all tasks here; it converts steps of a toy to seconds."""


@dataclass(frozen=True)
class ScoredRollouts:
    """N rollouts with the scores of their plans."""

    succeeded: NDArray[np.bool_]
    """[N]"""
    lasted: NDArray[np.int64]
    """[N] steps until the world was over."""
    disturbed_at: Values
    """[N] step at which the disturbance is first observable; inf: never."""
    scores: Mapping[str, Values]
    """[N, P] by name, NaN once a world is over."""
    execute: int
    """Steps from one plan to the next."""
    latency_s: float = 0.0
    """From an observation to when the monitor receives its plan's score."""

    @property
    def times_s(self) -> Values:
        """[P] when the monitor receives each plan's score, since the start."""
        found: Values = np.arange(next(iter(self.scores.values())).shape[1]) * self.execute / RATE_HZ + self.latency_s
        return found

    @property
    def plans(self) -> NDArray[np.int64]:
        """[N] number of plans."""
        found: NDArray[np.int64] = np.isfinite(next(iter(self.scores.values()))).sum(axis=1)
        return found


@dataclass(frozen=True)
class RetriedRollouts:
    """N rollouts with retries."""

    succeeded: NDArray[np.bool_]
    """[N]"""
    lasted: NDArray[np.int64]
    """[N] steps until the world was over."""
    disturbed_at: NDArray[np.float64]
    """[N] step at which the disturbance is first observable; inf: never."""
    retries: NDArray[np.int64]
    """[N]"""
    gave_up: NDArray[np.bool_]
    """[N] stopped after the last retry, which is a failure."""


def median_length(rollouts: ScoredRollouts) -> int:
    """Median number of steps of successes; of all rollouts where none succeeded."""
    lasted = rollouts.lasted[rollouts.succeeded] if rollouts.succeeded.any() else rollouts.lasted
    return int(np.median(lasted))
