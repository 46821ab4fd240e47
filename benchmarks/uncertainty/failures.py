"""Failures in the benchmarks of detection and of retries: the disturbance, when it happens, and the seeds.

All of this was fixed before the first of the final seeds was used; all tuning used `TUNING`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_ROLLOUTS = 1000
"""Most rollouts of one failure; there are no more seeds."""


@dataclass(frozen=True)
class Failure:
    """One cause of failure."""

    name: str
    kind: str | None
    """One of the toy's `disturbances`; None: undisturbed, the policy fails by itself or not at all."""
    window: tuple[float, float] = (0.0, 0.0)
    """When it is requested, in median lengths of a success: drawn uniformly, by seed. The toy applies it once it can:
    a held object slips, a lying object is nudged, a goal moves until something is in it."""

    def moments(self, seeds: Sequence[int], median_steps: int) -> NDArray[np.int64]:
        """The step [N] at which it is requested; -1: never. `median_steps`: of successes."""
        if self.kind is None:
            return np.full(len(seeds), -1)
        draws = np.array([np.random.default_rng((seed, 1)).uniform(*self.window) for seed in seeds])
        return np.floor(draws * median_steps).astype(np.int64)


FAILURES = (
    Failure("natural", None),
    Failure("drop", "drop", (0.1, 0.7)),
    Failure("nudge", "nudge", (0.0, 0.15)),
    Failure("moved_goal", "moved_goal", (0.1, 0.7)),
)
NATURAL = FAILURES[0]


@dataclass(frozen=True)
class Case:
    """Rollouts to run, and their disturbance."""

    seeds: Sequence[int]
    failure: Failure = NATURAL
    median_steps: int = 0
    """Median number of steps of successes, which scales the moments."""

    @property
    def moments(self) -> NDArray[np.int64]:
        """[N] as of `Failure.moments`."""
        return self.failure.moments(self.seeds, self.median_steps)


@dataclass(frozen=True)
class Study:
    """First seed of each purpose; each further failure starts 1000 seeds later."""

    calibration: int
    detection: int
    retrying: int

    def calibrate(self, count: int) -> range:
        return _seeds(self.calibration, count)

    def detect(self, failure: Failure, count: int) -> range:
        return _seeds(self.detection + MAX_ROLLOUTS * FAILURES.index(failure), count)

    def retry(self, failure: Failure, count: int) -> range:
        return _seeds(self.retrying + MAX_ROLLOUTS * FAILURES.index(failure), count)


TUNING = Study(calibration=1_000, detection=2_000, retrying=6_000)
FINAL = Study(calibration=150_000, detection=200_000, retrying=300_000)


def applicable_failures(disturbances: Sequence[str], names: Sequence[str] | None = None) -> tuple[Failure, ...]:
    """The failures, of these `names` where given, that a toy with these disturbances can have."""
    able = (failure for failure in FAILURES if failure.kind is None or failure.kind in disturbances)
    return tuple(failure for failure in able if names is None or failure.name in names)


def _seeds(first: int, count: int) -> range:
    if count > MAX_ROLLOUTS:
        raise ValueError(f"{count} rollouts: there are seeds for {MAX_ROLLOUTS}")
    return range(first, first + count)
