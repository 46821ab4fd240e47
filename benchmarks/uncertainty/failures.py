"""What goes wrong in the benchmarks of detection and of retrying: what is done to the world, when, and on which seeds.

Everything here was fixed before the first of the final seeds was used; all that was tuned, was on `TUNING`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 1000
"""Rollouts of one failure for which there are seeds."""


@dataclass(frozen=True)
class Failure:
    """One way for a rollout to go wrong."""

    name: str
    kind: str | None
    """One of the toy's `disturbances`; None: nothing is done, and the policy fails by itself or not at all."""
    window: tuple[float, float] = (0.0, 0.0)
    """When it is asked for, in usual lengths of a success: drawn evenly, by seed. The toy then acts once it can:
    a held thing slips, a thing that still lies is nudged, a goal moves until something is in it."""

    def moments(self, seeds: Sequence[int], usual: int) -> NDArray[np.int64]:
        """The step [N] at which it is asked for; -1 for never. `usual`: steps of a usual success."""
        if self.kind is None:
            return np.full(len(seeds), -1)
        draws = np.array([np.random.default_rng((seed, 1)).uniform(*self.window) for seed in seeds])
        return np.floor(draws * usual).astype(np.int64)


FAILURES = (
    Failure("natural", None),
    Failure("drop", "drop", (0.1, 0.7)),
    Failure("nudge", "nudge", (0.0, 0.15)),
    Failure("moved_goal", "moved_goal", (0.1, 0.7)),
)
NATURAL = FAILURES[0]


@dataclass(frozen=True)
class Case:
    """Rollouts to make, and what is done to them."""

    seeds: Sequence[int]
    failure: Failure = NATURAL
    usual: int = 0
    """Steps of a usual success, which tell the moments."""

    @property
    def moments(self) -> NDArray[np.int64]:
        """[N] as of `Failure.moments`."""
        return self.failure.moments(self.seeds, self.usual)


@dataclass(frozen=True)
class Study:
    """Where each purpose finds its seeds; a failure's begin so many thousands later as it has failures before it."""

    calibration: int
    detection: int
    retrying: int

    def calibrate(self, count: int) -> range:
        return _seeds(self.calibration, count)

    def detect(self, failure: Failure, count: int) -> range:
        return _seeds(self.detection + MOST * FAILURES.index(failure), count)

    def retry(self, failure: Failure, count: int) -> range:
        return _seeds(self.retrying + MOST * FAILURES.index(failure), count)


TUNING = Study(calibration=1_000, detection=2_000, retrying=6_000)
FINAL = Study(calibration=150_000, detection=200_000, retrying=300_000)


def suffered(disturbances: Sequence[str], names: Sequence[str] | None = None) -> tuple[Failure, ...]:
    """Those failures, of these `names` where given, that a toy with these disturbances can be made to suffer."""
    able = (failure for failure in FAILURES if failure.kind is None or failure.kind in disturbances)
    return tuple(failure for failure in able if names is None or failure.name in names)


def _seeds(first: int, count: int) -> range:
    if count > MOST:
        raise ValueError(f"{count} rollouts: there are seeds for {MOST}")
    return range(first, first + count)
