"""A control without a policy: the mean demonstration replayed by the clock."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.step import Actor, Decision, Observation


class ReplayMean:
    """Replays the mean of the demonstrations' actions by the time since the start; it ignores observations."""

    def __init__(self, demonstrations: Sequence[NDArray[np.float32]], rate_hz: float) -> None:
        """`demonstrations`: [T, J] rad each, T may differ; a shorter one is padded with its last action."""
        if not demonstrations:
            raise DataError("There is no demonstration to replay")
        longest = max(len(actions) for actions in demonstrations)
        padded = [np.pad(actions, ((0, longest - len(actions)), (0, 0)), mode="edge") for actions in demonstrations]
        self._mean = np.stack(padded).astype(np.float64).mean(axis=0).astype(np.float32)
        self._rate_hz = rate_hz

    @classmethod
    def of(cls, paths: Sequence[Path], rate_hz: float) -> "ReplayMean":
        """Replay the mean of these episodes' sent actions."""
        demonstrations = []
        for path in paths:
            with Episode(path) as episode:
                demonstrations.append(np.asarray(episode.action, dtype=np.float32))
        return cls(demonstrations, rate_hz)

    def reset(self, observation: Observation) -> None:
        self._start_s = observation.time_s

    def decide(self, observation: Observation) -> Decision:
        row = round((observation.time_s - self._start_s) * self._rate_hz)
        return Decision(self._mean[min(row, len(self._mean) - 1)], Actor.REPLAY)
