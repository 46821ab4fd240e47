"""The scripted operator who sorts: comes down over the middle of the pair and turns to one when nearly down."""

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.worlds.toys.toy import Array, Rows
from benchmarks.worlds.toys.world import between, row_of

if TYPE_CHECKING:
    from benchmarks.worlds.toys.sort import Sort

STRIDE = 0.03
"""Largest motion in a step."""
SINK = 0.009
"""Descent in a step over the pair, and on towards the chosen one."""
SWING = 0.12
"""Sideways motion in a step when turning to the chosen one."""
TURN = (0.22, 0.25)
"""Heights between which the hand turns."""
DOWN = 0.03
"""Descent in a step once the chosen one is right below."""
LANE = 0.015
"""Largest distance from the middle of the pair during the descent."""
HIGH = 0.27
"""Height at which the hand travels."""
LOW = 0.012
"""Height at which the hand grips and releases."""
SLIPS = 0.1
"""Probability that an object slips out of the grip on its way."""


class SortOperator:
    """Chooses an object, then a bin, at random and independently of the scene."""

    def __init__(self, worlds: "Sort") -> None:
        self.worlds = worlds
        draws = worlds.operator_draws
        self.rows = np.arange(len(draws))
        self.object = (draws[:, 0] < 0.5).astype(np.int64)
        self.bin = (draws[:, 1] < 0.5).astype(np.int64)
        self.lanes = between(draws[:, 2:4], -LANE, LANE)
        self.turns = between(draws[:, 4:6], *TURN)
        """[N, 2] at the objects and at the bins."""
        self.slips_at = np.where(draws[:, 6] < SLIPS, between(draws[:, 7], 0.12, 0.3), -1.0)
        """Distance across from the bins at which an object slips."""
        self.turning = np.zeros((len(draws), 2), np.bool_)

    def act(self) -> Array:
        worlds = self.worlds
        holding = worlds.holding
        placed = worlds.placed[self.rows, self.object]
        self.object = np.where(placed, 1 - self.object, self.object)
        self.bin = np.where(worlds.full[self.rows, self.bin], 1 - self.bin, self.bin)
        goal = np.where(holding[:, None], self._carry(), self._fetch())
        wobble = 0.0015 * row_of(worlds.operator_noise, worlds.time) * (1.0, 1.0, 0.0)
        return np.asarray(worlds.position + goal + wobble, np.float64)

    def _fetch(self) -> Array:
        worlds = self.worlds
        across, down = worlds.offsets[self.rows, self.object].T
        pair = worlds.offsets[..., 0].mean(axis=1)
        apart = np.abs(np.diff(worlds.offsets[..., 0], axis=1))[:, 0]
        both = ~worlds.placed.any(axis=1) & (apart < 0.3)
        reach = self._approach(0, both, pair, across, down + LOW)
        reach[:, 2] = (np.abs(across) < 0.012) & (np.abs(down) < LOW + 0.006)
        return self._gripper(reach)

    def _carry(self) -> Array:
        worlds = self.worlds
        ways = worlds.bins - (worlds.things * worlds.held[..., None]).sum(axis=1)[:, :1]
        across, pair = ways[self.rows, self.bin], ways.mean(axis=1)
        self._slip(np.abs(pair))
        both = ~worlds.full.any(axis=1)
        reach = self._approach(1, both, pair, across, LOW - worlds.position[:, 1])
        rising = (np.abs(pair) > 0.2) & (worlds.position[:, 1] < 0.13)
        reach[:, 0] = np.where(rising, 0.0, reach[:, 0])
        reach[:, 2] = ~((np.abs(across) < 0.012) & (worlds.position[:, 1] < LOW + 0.006))
        return self._gripper(reach)

    def _approach(self, place: int, both: Rows | np.bool_, pair: Array, across: Array, down: Array) -> Array:
        """Steps [N, 3] towards one of two things at `across`, `down` from the hand, the pair's middle at `pair`."""
        height = self.worlds.position[:, 1]
        lane = pair + self.lanes[:, place]
        far = np.abs(lane) > 0.035
        self.turning[:, place] |= (height < self.turns[:, place]) & ~far & both
        straight = both & ~self.turning[:, place]
        travel = HIGH - height + np.clip(np.abs(lane) - 0.06, 0.0, 0.2)
        wide = np.clip(lane, -STRIDE, STRIDE)
        turned = np.clip(across, -SWING, SWING)
        # Avoid an object's edge: rise and go over its middle first.
        low, centred = height < 0.11, np.abs(across) < 0.012
        sink = np.where(centred, np.clip(down, -DOWN, DOWN), np.where(low, np.maximum(0.095 - height, 0.0), -SINK))
        alone = ~both & (np.abs(across) > 0.02)
        over = np.where(low, 0.0, np.clip(across, -STRIDE, STRIDE))
        up = np.clip(np.where(straight, travel, HIGH - height), -STRIDE, STRIDE)
        steps = np.zeros((len(height), 3))
        steps[:, 0] = np.where(straight, wide, np.where(alone, over, turned))
        steps[:, 1] = np.where((straight & far) | alone, up, np.where(straight, -SINK, sink))
        return steps

    def _gripper(self, reach: Array) -> Array:
        """Closes or opens with the hand at rest."""
        grip = reach[:, 2] - self.worlds.position[:, 2]
        reach[:, :2] *= np.where(np.abs(grip) > 0.4, 0.2, 1.0)[:, None]
        reach[:, 2] = grip
        return reach

    def _slip(self, near: Array) -> None:
        now = (near < self.slips_at) & self.worlds.holding & ~self.worlds.over
        self.slips_at = np.where(now, -1.0, self.slips_at)
        self.worlds.disturb("drop", now)
