"""A side view of a table: a hand with a gripper, and things (objects) that lie, are held, slip, fall and are pushed.

Shapes: N worlds, K things. Position: across x, height z, gripper g from 0, open, to 1, closed.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds.toys.toy import Array, Rows
from benchmarks.worlds.toys.world import World, between

GRIP_HEIGHT = 0.025
"""Largest height difference to a thing's middle at which the fingers grip it."""
SHUT = 0.5
"""The gripper holds from this value on."""
FALL = 0.04
"""Distance a loose thing falls in a step."""
PUSH = 0.008
"""Distance a thing or a goal is pushed in a step."""
NUDGE = (0.03, 0.06)
MOVED = (0.04, 0.08)
"""Distances, in either direction."""
AIRBORNE = 0.12
"""A held thing slips only above this height, a lying one is nudged only while the hand is above it."""
ROOM = 0.14
"""A thing slips only where no other lies nearer across, so that it can be picked up again."""


class GraspWorld(World):
    """Things [N, K] and a hand that grips at most one of them."""

    joints: ClassVar[int] = 3
    disturbances: ClassVar[tuple[str, ...]] = ("drop", "nudge", "moved_goal")
    speed: ClassVar[tuple[float, ...]] = (0.05, 0.05, 0.5)
    jitter: ClassVar[tuple[float, ...]] = (0.001, 0.001, 0.0)
    grip: ClassVar[float] = 0.025
    """Largest distance across from a thing's middle at which the fingers grip it."""

    def _reset_things(self, across: Array) -> None:
        """Put things on the table at `across` [N, K], without disturbances."""
        self.things = np.stack([across, np.zeros_like(across)], axis=2)
        """[N, K, 2], middles."""
        self.held = np.zeros(across.shape, np.bool_)
        self.placed = np.zeros(across.shape, np.bool_)
        self._offset = np.zeros(self.things.shape)
        self._nudge = np.zeros(across.shape)
        """[N, K], remaining distance of a push."""
        self._goal_shift = np.zeros(len(across))
        """[N], remaining distance of the goals' motion."""
        self._pending = {kind: np.zeros(len(across), np.bool_) for kind in self.disturbances}

    @property
    def holding(self) -> Rows:
        return np.asarray(self.held.any(axis=1), np.bool_)

    @property
    def offsets(self) -> Array:
        """[N, K, 2], things minus hand."""
        return self.things - self.position[:, None, :2]

    def _move(self, target: Array, live: Rows) -> None:
        was_open = self.position[:, 2] < SHUT
        target[:, 1] = np.maximum(target[:, 1], 0.0)
        target[:, 2] = np.clip(target[:, 2], 0.0, 1.0)
        self.position = np.where(live[:, None], self._reachable(target), self.position)
        shut = self.position[:, 2] >= SHUT
        released = self.held & (live & ~shut)[:, None]
        self.held &= ~released
        self._grip(live & shut & was_open & ~self.holding)
        self._begin(live)
        self.things = np.where(self.held[..., None], self.position[:, None, :2] + self._offset, self.things)
        self._push_aside(live)
        loose = live[:, None] & ~self.held
        floor = self._floor(self.things[..., 0])
        fallen = np.maximum(self.things[..., 1] - FALL, np.minimum(floor, self.things[..., 1]))
        self.things[..., 1] = np.where(loose, fallen, self.things[..., 1])
        self._judge(live, released)

    def _grip(self, rows: Rows) -> None:
        near = np.abs(self.offsets) <= (self.grip, GRIP_HEIGHT)
        gripped = near.all(axis=2) & ~self.placed & rows[:, None]
        gripped &= np.cumsum(gripped, axis=1) == 1
        self.held |= gripped
        self._offset = np.where(gripped[..., None], self.offsets, self._offset)
        self._nudge[gripped] = 0.0

    def _begin(self, live: Rows) -> None:
        """Start requested disturbances as soon as they can act."""
        apart = np.where(self.held, np.inf, np.abs(self.things[..., 0] - self.position[:, :1])).min(axis=1)
        slips = self._pending["drop"] & live & self.holding & (self.position[:, 1] > AIRBORNE) & (apart > ROOM)
        self.held &= ~slips[:, None]
        self._pending["drop"] &= ~slips
        lying = ~self.held & ~self.placed & (self.things[..., 1] <= self._floor(self.things[..., 0]))
        free = lying & (self.position[:, 1] > AIRBORNE)[:, None]
        pushed = free & (np.cumsum(free, axis=1) == 1) & (self._pending["nudge"] & live)[:, None]
        self._nudge = np.where(pushed, self._nudge_way(), self._nudge)
        self._pending["nudge"] &= ~pushed.any(axis=1)
        moves = self._pending["moved_goal"] & live & self._goal_free()
        self._goal_shift = np.where(moves, self._goal_way(), self._goal_shift)
        self._pending["moved_goal"] &= ~moves

    def _push_aside(self, live: Rows) -> None:
        at_it = (self.position[:, 1] <= AIRBORNE)[:, None] & (np.abs(self.offsets[..., 0]) < 0.1)
        push = np.where(live[:, None] & ~self.held & ~at_it, np.clip(self._nudge, -PUSH, PUSH), 0.0)
        self._nudge = self._nudge - push
        self.things[..., 0] += push
        shift = np.where(live & self._goal_free(), np.clip(self._goal_shift, -PUSH, PUSH), 0.0)
        self._goal_shift = self._goal_shift - shift
        self._shift_goals(shift)

    def _disturb(self, kind: str, rows: Rows) -> None:
        self._pending[kind] |= rows

    def _way(self, kind: str, size: tuple[float, float]) -> Array:
        """[N], signed distance; the same for each row and kind."""
        index = 2 * self.disturbances.index(kind)
        sign = np.where(self.disturbance_draws[:, index] < 0.5, -1.0, 1.0)
        return sign * between(self.disturbance_draws[:, index + 1], *size)

    def _nudge_way(self) -> Array:
        """[N, K], signed distance by which a thing is pushed."""
        return np.broadcast_to(self._way("nudge", NUDGE)[:, None], self.held.shape).copy()

    def _goal_way(self) -> Array:
        """[N], signed distance by which the goals move."""
        return self._way("moved_goal", MOVED)

    def _reachable(self, target: Array) -> Array:
        """The nearest hand position [N, 3] that solid things allow."""
        return target

    def _floor(self, across: NDArray[np.float64]) -> Array:
        """Height [N, K] of the surface under a thing."""
        return np.zeros_like(across)

    def _goal_free(self) -> Rows:
        """[N], whether the goals could be moved now."""
        return np.ones(len(self.position), np.bool_)

    @abstractmethod
    def _shift_goals(self, shift: Array) -> None:
        """Move the goals, and things on them, by `shift` [N]."""

    @abstractmethod
    def _judge(self, live: Rows, released: NDArray[np.bool_]) -> None:
        """Decide which worlds are over; `released` [N, K] things were let go in this step."""
