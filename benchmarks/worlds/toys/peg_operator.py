"""The scripted operator who inserts the peg: aims inaccurately, lifts the peg from the rim, and tries again nearer."""

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.worlds.toys.toy import Array, Rows
from benchmarks.worlds.toys.world import between, row_of

if TYPE_CHECKING:
    from benchmarks.worlds.toys.peg_insert import PegInsert

STRIDE = 0.028
"""Largest motion in a step."""
ABOVE = 0.05
"""Height above the rim at which the peg is carried, and above a peg at which the hand travels."""
FIRST_MISS = 0.018
"""Standard deviation of the first aim; each miss more than halves it."""
SLIPS = 0.25
"""Probability that the peg slips out of the grip."""


class PegOperator:
    """Acts on observations; its state is the chosen hole, the aim in it, and whether it is lifting."""

    def __init__(self, worlds: "PegInsert") -> None:
        self.worlds = worlds
        draws = worlds.operator_draws
        self.rows = np.arange(len(draws))
        self.hole = (draws[:, 0] < 0.5).astype(np.int64)
        self.misses = np.zeros(len(draws), np.int64)
        self.lifting = np.zeros(len(draws), np.bool_)
        self.slips_at = np.where(draws[:, 1] < SLIPS, between(draws[:, 2], 0.1, 0.4), -1.0)
        """Distance across to the chosen hole at which the peg slips."""

    def act(self) -> Array:
        worlds = self.worlds
        holding = worlds.holding
        goal = np.where(holding[:, None], self._insert(), self._fetch())
        wobble = 0.002 * row_of(worlds.operator_noise, worlds.time) * (1.0, 1.0, 0.0)
        reach = np.clip(goal - worlds.position, -STRIDE, STRIDE)
        reach[:, 2] = goal[:, 2] - worlds.position[:, 2]
        return np.asarray(worlds.position + reach + wobble, np.float64)

    def _fetch(self) -> Array:
        """Along a funnel down to the peg, then close."""
        worlds = self.worlds
        across, down = worlds.offsets[:, 0].T
        off = np.abs(across)
        height = worlds.position[:, 1] + down + np.clip(3 * (off - 0.01), 0.0, 0.2)
        at_peg = (off < 0.01) & (np.abs(down) < 0.012)
        return np.column_stack([worlds.position[:, 0] + across, height, at_peg])

    def _insert(self) -> Array:
        worlds = self.worlds
        rim = worlds.rim
        peg = worlds.things[:, 0]
        hole = worlds.holes[self.rows, self.hole]
        self._slip(np.abs(hole - peg[:, 0]) < self.slips_at)
        on_rim = ~worlds.in_hole & (peg[:, 1] <= rim + 0.003) & (np.abs(hole - peg[:, 0]) < 0.08)
        self.misses += on_rim & ~self.lifting
        self.lifting = (self.lifting | on_rim) & (peg[:, 1] < rim + 0.6 * ABOVE)
        aim = worlds.operator_noise[self.rows, self.misses, 2] * FIRST_MISS * 0.4**self.misses
        across = hole + np.where(worlds.in_hole, 0.0, aim) - peg[:, 0]
        over = rim + ABOVE
        away = (np.abs(across) > 0.008) | self.lifting
        height = np.where(away & ~worlds.in_hole, over, -0.01) - peg[:, 1]
        # Not sideways while low, or the peg would hit the block's side.
        across = np.where((peg[:, 1] < rim + 0.01) & ~worlds.in_hole & (np.abs(across) > 0.05), 0.0, across)
        return np.column_stack([worlds.position[:, 0] + across, worlds.position[:, 1] + height, np.ones(len(peg))])

    def _slip(self, near: Rows) -> None:
        now = near & self.worlds.holding & ~self.worlds.over
        self.slips_at = np.where(now, -1.0, self.slips_at)
        self.worlds.disturb("drop", now)
