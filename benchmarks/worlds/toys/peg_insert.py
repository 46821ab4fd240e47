"""Pick up a peg and insert it into either of two equal holes; it tests precision and recovery rather than choice."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds.toys.grasp import SHUT, GraspWorld
from benchmarks.worlds.toys.peg_operator import PegOperator
from benchmarks.worlds.toys.toy import Array, Rows
from benchmarks.worlds.toys.world import between

BLOCK_HALF, HOLE = 0.14, 0.07
"""Half of the block's width, and how far a hole is from the block's middle."""
TOLERANCE = 0.0125
"""Largest distance from a hole's middle at which a peg goes in, either side: together 1/40 of the field."""
INSERTED = 0.03
BLOCK_RANGE = (0.62, 0.88)
PEG_RANGE = (0.05, 0.44)


class PegInsert(GraspWorld):
    """State: peg minus hand (2), mouth of the left hole minus hand (2), of the right hole (2), held."""

    name: ClassVar[str] = "peg_insert"
    state_size: ClassVar[int] = 7
    longest: ClassVar[int] = 300
    multimodal: ClassVar[bool] = False
    rim: ClassVar[float] = 0.12
    """Height of the block that has the holes."""

    def operator(self) -> PegOperator:
        return PegOperator(self)

    def _set_scene(self) -> None:
        draws = self.scene_draws
        self._reset_things(between(draws[:, :1], 0.08, 0.4))
        self.block = between(draws[:, 1], 0.66, 0.84)
        hand = (between(draws[:, 2], 0.1, 0.9), between(draws[:, 3], 0.35, 0.5), np.zeros(len(draws)))
        self.position = np.stack(hand, axis=1)

    @property
    def holes(self) -> Array:
        """[N, 2], middles of the left and the right hole."""
        return np.asarray(self.block[:, None] + np.array([-HOLE, HOLE]), np.float64)

    def _state(self) -> Array:
        mouths = self.holes - self.position[:, :1]
        depth = self.rim - self.position[:, 1]
        vectors = (self.offsets[:, 0], mouths[:, 0], depth, mouths[:, 1], depth, self.held[:, 0])
        return np.column_stack(vectors)

    @property
    def in_hole(self) -> Rows:
        """[N], whether the peg is at least partly in a hole."""
        return (self.things[:, 0, 1] < self.rim - 1e-9) & (self._off_hole(self.things[:, 0, 0]) <= TOLERANCE + 1e-9)

    def _off_hole(self, across: Array) -> Array:
        return np.asarray(np.abs(self.holes - across[:, None]).min(axis=1), np.float64)

    def _over_block(self, across: Array) -> Rows:
        return np.abs(across - self.block) < BLOCK_HALF

    def _floor(self, across: NDArray[np.float64]) -> Array:
        solid = self._over_block(across[:, 0]) & (self._off_hole(across[:, 0]) > TOLERANCE)
        return np.where(solid, self.rim, 0.0)[:, None]

    def _reachable(self, target: Array) -> Array:
        """The held peg, or else the fingers, rest on the block, stop at its side, and are guided by a hole."""
        held = self.holding & (target[:, 2] >= SHUT)
        offset = np.where(held[:, None], self._offset[:, 0], 0.0)
        tip, before = target[:, :2] + offset, self.position[:, :2] + offset
        low = before[:, 1] < self.rim - 1e-9
        hole = self.holes[np.arange(len(tip)), np.abs(self.holes - before[:, :1]).argmin(axis=1)]
        led = held & low & (np.abs(before[:, 0] - hole) <= TOLERANCE + 1e-9)
        across = np.where(led, np.clip(tip[:, 0], hole - TOLERANCE, hole + TOLERANCE), tip[:, 0])
        beside = low & ~self._over_block(before[:, 0]) & (tip[:, 1] < self.rim)
        across = np.where(beside & self._over_block(across), before[:, 0], across)
        enters = held & (self._off_hole(across) <= TOLERANCE)
        solid = self._over_block(across) & ~enters & ~led
        height = np.where(solid, np.maximum(tip[:, 1], self.rim), tip[:, 1])
        return np.column_stack([across - offset[:, 0], height - offset[:, 1], target[:, 2]])

    def _goal_free(self) -> Rows:
        return ~self.in_hole

    def _nudge_way(self) -> Array:
        """Inwards at the ends of the table's free part."""
        way, across = super()._nudge_way(), self.things[..., 0]
        way = np.where(across + way < PEG_RANGE[0], np.abs(way), way)
        return np.where(across + way > PEG_RANGE[1], -np.abs(way), way)

    def _goal_way(self) -> Array:
        return np.abs(super()._goal_way()) * np.sign(sum(BLOCK_RANGE) / 2 - self.block)

    def _shift_goals(self, shift: Array) -> None:
        moved = np.clip(self.block + shift, *BLOCK_RANGE) - self.block
        peg, loose = self.things[:, 0], ~self.holding
        carried = loose & self._over_block(peg[:, 0])
        self.block = self.block + moved
        # A peg on the block moves with it; a peg on the table is pushed by the block's side.
        pushed = loose & ~carried & self._over_block(peg[:, 0])
        peg[:, 0] += np.where(carried | pushed, moved, 0.0)

    def _judge(self, live: Rows, released: NDArray[np.bool_]) -> None:
        self._succeeded |= live & self.in_hole & (self.things[:, 0, 1] <= INSERTED)
