"""The base class of toys: hands that move at a limited speed with a little noise, and worlds that terminate.

Shapes: N worlds, J joints.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds.toys.toy import Array, Operator, Rows, View

CHANCES = 16
"""Random numbers in [0, 1) per world for each of its scene, its disturbances and its operator."""


class World(ABC):
    """N worlds in lock-step.

    All random numbers are drawn at `reset`, row by row from the row's own seed, so that no row depends on other rows
    and two policies on one seed get the same draws.
    """

    name: ClassVar[str]
    joints: ClassVar[int]
    state_size: ClassVar[int]
    longest: ClassVar[int]
    disturbances: ClassVar[tuple[str, ...]]
    multimodal: ClassVar[bool]
    speed: ClassVar[tuple[float, ...]]
    """The most that each joint moves in a step."""
    jitter: ClassVar[tuple[float, ...]]
    """Standard deviation of the noise on each joint's step."""

    def reset(self, seeds: Sequence[int]) -> None:
        generators = [np.random.default_rng(seed) for seed in seeds]
        draws = np.stack([rng.random((3, CHANCES)) for rng in generators], axis=1)
        self.scene_draws, self.disturbance_draws, self.operator_draws = draws
        noise = np.stack([rng.standard_normal((2, self.longest, self.joints)) for rng in generators], axis=1)
        self.noise, self.operator_noise = noise
        self.time = 0
        self._succeeded = np.zeros(len(seeds), np.bool_)
        self._failed = np.zeros(len(seeds), np.bool_)
        self.position = np.zeros((len(seeds), self.joints))
        self._set_scene()

    @property
    def succeeded(self) -> Rows:
        return self._succeeded.copy()

    @property
    def over(self) -> Rows:
        return self._succeeded | self._failed | (self.time >= self.longest)

    def observe(self) -> View:
        return View(self.position.astype(np.float32), self._state().astype(np.float32))

    def step(self, goal: Array | NDArray[np.float32]) -> None:
        live = ~self.over
        if not live.any():
            return
        reach = np.clip(goal - self.position, -np.array(self.speed), np.array(self.speed))
        target = self.position + reach + self.noise[:, self.time] * self.jitter
        self.time += 1
        self._move(np.where(live[:, None], target, self.position), live)

    def disturb(self, kind: str, rows: Rows) -> None:
        if kind not in self.disturbances:
            raise ValueError(
                f"{self.name} has no disturbance {kind!r}; it has {', '.join(self.disturbances) or 'none'}"
            )
        self._disturb(kind, rows & ~self.over)

    @abstractmethod
    def operator(self) -> Operator: ...

    @abstractmethod
    def _set_scene(self) -> None:
        """Place everything, the hand included, by `scene_draws`."""

    @abstractmethod
    def _state(self) -> Array:
        """[N, S]"""

    @abstractmethod
    def _move(self, target: Array, live: Rows) -> None:
        """Move the hands of the `live` worlds to `target` [N, J] or as near as objects allow, then update the rest."""

    def _disturb(self, kind: str, rows: Rows) -> None:
        """Start `kind`, one of `disturbances`, in these rows."""
        raise ValueError(f"{self.name} lists the disturbance {kind!r} and does not implement it")


def row_of(numbers: NDArray[np.float64], time: int) -> Array:
    """[N, J], what was drawn for this step out of [N, T, J]; past the end, the last."""
    return np.asarray(numbers[:, min(time, numbers.shape[1] - 1)], np.float64)


def between(draws: Array, low: float, high: float) -> Array:
    """Draws from [0, 1) spread over [low, high)."""
    return low + (high - low) * draws


def nearer(value: Array, goal: Array, step: float) -> Array:
    """`value`, moved towards `goal` by at most `step`."""
    return value + np.clip(goal - value, -step, step)
