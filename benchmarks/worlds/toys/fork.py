"""A path past a pillar, left or right, to a goal behind it; the mean of the two paths runs into the pillar.

The side does not depend on the start. All paths go straight until close to the pillar; the sidestep that follows is
wider than the spread of the starts and takes a plan or two. A slow sidestep would test nothing: regression to the mean
velocity would then pass on the side on which it happens to be."""

from typing import ClassVar

import numpy as np

from benchmarks.worlds.toys.toy import Array, Rows
from benchmarks.worlds.toys.world import World, between, row_of

HALF = 0.15
"""Half of the square pillar's side."""
REACHED = 0.04
SPREAD = 0.4
"""Largest distance of a start from the pillar's middle, in its half-widths."""
STRIDE = 0.02
"""Forward motion of an operator in a step."""
SWING = 1.1 * HALF
"""Sideways motion of an operator in a step; the hand's limit is a tenth more."""
CLEARANCE = (0.08, 0.12)
"""Between the pillar's side and the operator's path."""
SPARE = (4.0, 11.0)
"""Steps that remain before the widest sidestep would be too late."""


class Fork(World):
    """Position: across, ahead. State: pillar's centre minus hand (2), goal minus hand (2)."""

    name: ClassVar[str] = "fork"
    joints: ClassVar[int] = 2
    state_size: ClassVar[int] = 4
    longest: ClassVar[int] = 100
    disturbances: ClassVar[tuple[str, ...]] = ()
    multimodal: ClassVar[bool] = True
    speed: ClassVar[tuple[float, ...]] = (1.1 * SWING, 1.25 * STRIDE)
    jitter: ClassVar[tuple[float, ...]] = (0.001, 0.001)

    def operator(self) -> "ForkOperator":
        return ForkOperator(self)

    def _set_scene(self) -> None:
        draws = self.scene_draws
        middle = between(draws[:, 0], 0.4, 0.6)
        self.pillar = np.stack([middle, np.full(len(draws), 0.65)], axis=1)
        start = middle + between(draws[:, 1], -SPREAD * HALF, SPREAD * HALF)
        self.position = np.stack([start, between(draws[:, 2], 0.0, 0.1)], axis=1)
        self.goal = np.stack([middle + between(draws[:, 3], -0.05, 0.05), between(draws[:, 4], 0.97, 1.05)], axis=1)

    def _state(self) -> Array:
        return np.concatenate([self.pillar - self.position, self.goal - self.position], axis=1)

    def _move(self, target: Array, live: Rows) -> None:
        self.position = target
        touched = (np.abs(target - self.pillar) < HALF).all(axis=1)
        self._failed |= live & touched
        self._succeeded |= live & ~touched & (np.linalg.norm(target - self.goal, axis=1) < REACHED)


class ForkOperator:
    """Goes straight, sidesteps to a random side when near, passes, and turns to the goal."""

    def __init__(self, fork: Fork) -> None:
        self.fork = fork
        draws = fork.operator_draws
        self.side = np.where(draws[:, 0] < 0.5, -1.0, 1.0)
        self.clearance = HALF + between(draws[:, 1], *CLEARANCE)
        self.spare = between(draws[:, 2], *SPARE)
        self.swinging = np.zeros(len(draws), np.bool_)

    def act(self) -> Array:
        fork = self.fork
        across, ahead = (fork.pillar - fork.position).T
        way_out = across + self.side * self.clearance
        left = (ahead - HALF) / STRIDE - (HALF * (1 + SPREAD) + CLEARANCE[1]) / SWING
        self.swinging |= left < self.spare
        sideways = np.where(self.swinging, np.clip(way_out, -SWING, SWING), 0.0)
        home = fork.goal - fork.position
        past = ahead < -HALF - 0.03
        sideways = np.where(past, np.clip(home[:, 0], -SWING, SWING), sideways)
        forward = np.where(past, np.clip(home[:, 1], -STRIDE, STRIDE), STRIDE)
        wobble = 0.003 * row_of(fork.operator_noise, fork.time)
        return np.asarray(fork.position + np.stack([sideways, forward], axis=1) + wobble, np.float64)
