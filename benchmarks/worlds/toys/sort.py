"""Two objects into two bins, any into either, in any order; the mean of two choices lies between them and fails.

The objects stand close together, the bins too, and the operator turns to one of them only when the hand is nearly
down. The remaining descent leaves no time for a late decision: fingers that come down on an object's edge knock it
over, and an object released beside the middle of a bin is lost."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds.toys.grasp import GraspWorld
from benchmarks.worlds.toys.sort_operator import SortOperator
from benchmarks.worlds.toys.toy import Array, Rows
from benchmarks.worlds.toys.world import between

HALF = 0.08
"""Half of an object's width plus a finger's: off the middle and nearer than this, the fingers hit it."""
TOP = 0.08
"""An object's height."""
APART = 0.12
"""Half of the distance between the objects, and between the bins."""
TOLERANCE = 0.05
"""Largest distance from a bin's middle at which an object may be released."""

BINS_RANGE = (0.6, 0.66)
"""Of the middle between the bins, which stay away from the objects."""


class Sort(GraspWorld):
    """State: objects minus hand (2 + 2), bins minus hand across (2), held (2), object placed (2), bin full (2)."""

    name: ClassVar[str] = "sort"
    state_size: ClassVar[int] = 12
    longest: ClassVar[int] = 240
    multimodal: ClassVar[bool] = True
    speed: ClassVar[tuple[float, ...]] = (0.13, 0.065, 0.5)
    grip: ClassVar[float] = 0.05

    def operator(self) -> SortOperator:
        return SortOperator(self)

    def _set_scene(self) -> None:
        draws = self.scene_draws
        sides = np.array([-APART, APART])
        self._reset_things(between(draws[:, :1], 0.2, 0.24) + sides)
        self.bins = between(draws[:, 1:2], *BINS_RANGE) + sides
        """[N, 2], middles."""
        self.full = np.zeros(self.bins.shape, np.bool_)
        hand = (between(draws[:, 2], 0.25, 0.35), between(draws[:, 3], 0.38, 0.45), np.zeros(len(draws)))
        self.position = np.stack(hand, axis=1)

    def _state(self) -> Array:
        objects = self.offsets.reshape(-1, 4)
        return np.concatenate([objects, self.bins - self.position[:, :1], self.held, self.placed, self.full], axis=1)

    def _nudge_way(self) -> Array:
        """Away from the bins, where either object has room."""
        return np.asarray(-np.abs(super()._nudge_way()), np.float64)

    def _goal_way(self) -> Array:
        inwards = np.sign(sum(BINS_RANGE) / 2 - self.bins.mean(axis=1))
        return np.asarray(np.abs(super()._goal_way()) * inwards, np.float64)

    def _shift_goals(self, shift: Array) -> None:
        middle = self.bins.mean(axis=1)
        shift = np.clip(middle + shift, *BINS_RANGE) - middle
        self.bins = self.bins + shift[:, None]
        at_bin = np.abs(self.things[:, :, None, 0] - self.bins[:, None] + shift[:, None, None]) < TOLERANCE + 0.005
        self.things[..., 0] += np.where(self.placed & at_bin.any(axis=2), shift[:, None], 0.0)

    def _judge(self, live: Rows, released: NDArray[np.bool_]) -> None:
        across, height = np.abs(self.offsets[..., 0]), self.position[:, 1:2]
        standing = ~self.held & ~self.placed & (self.things[..., 1] <= 0)
        hit = standing & (across > self.grip) & (across < HALF) & (height < TOP)
        into = np.abs(self.things[:, :, None, 0] - self.bins[:, None]) <= TOLERANCE  # [N, K, bins]
        into &= (~self.full)[:, None]
        missed = released & ~into.any(axis=2)
        landed = ~self.held & ~self.placed & (self.things[..., 1] <= 0) & into.any(axis=2) & live[:, None]
        self.placed |= landed
        self.full |= (into & landed[..., None]).any(axis=1)
        self._failed |= live & (hit | missed).any(axis=1)
        self._succeeded |= live & ~self._failed & self.placed.all(axis=1)
