"""Rollouts as they were watched, and as they were helped, on whatever task.

Shapes: N rollouts, P plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RATE_HZ = 20.0
"""Of all tasks here; what a toy's step stands for where something asks for seconds."""


@dataclass(frozen=True)
class Watched:
    """N rollouts."""

    succeeded: NDArray[np.bool_]
    """[N]"""
    lasted: NDArray[np.int64]
    """[N] steps until the world was over."""
    began: Values
    """[N] step at which the first trace of what was done could be seen; inf: never."""
    scores: Mapping[str, Values]
    """[N, P] by name, NaN once a world is over."""
    execute: int
    """Steps from one plan to the next."""
    late_s: float = 0.0
    """From an observation to when the monitor hears of its plan."""

    @property
    def times_s(self) -> Values:
        """[P] when each plan is heard of, since the start."""
        found: Values = np.arange(next(iter(self.scores.values())).shape[1]) * self.execute / RATE_HZ + self.late_s
        return found

    @property
    def plans(self) -> NDArray[np.int64]:
        """[N] how many were made."""
        found: NDArray[np.int64] = np.isfinite(next(iter(self.scores.values()))).sum(axis=1)
        return found


@dataclass(frozen=True)
class Retried:
    """N rollouts."""

    succeeded: NDArray[np.bool_]
    """[N]"""
    lasted: NDArray[np.int64]
    """[N] steps until the world was over."""
    began: NDArray[np.float64]
    """[N] step at which what was done could be seen; inf: never."""
    retries: NDArray[np.int64]
    """[N]"""
    gave_up: NDArray[np.bool_]
    """[N] handed over before the end, which is a failure."""


def usual_length(watched: Watched) -> int:
    """Steps of a usual success; of a usual rollout where none succeeded."""
    lasted = watched.lasted[watched.succeeded] if watched.succeeded.any() else watched.lasted
    return int(np.median(lasted))
