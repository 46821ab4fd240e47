"""Pushes of an object."""

import numpy as np
import pytest

from ebt_hardware.twin.world import TwinWorld


@pytest.fixture
def world() -> TwinWorld:
    return TwinWorld("peg_insert")


def test_a_nudge_moves_the_peg_and_leaves_it_standing(world: TwinWorld) -> None:
    for seed in range(5):
        world.reset(seed)
        world.advance(0.2)
        before = world.privileged()["peg"]
        world.disturb("nudge")
        world.advance(1.0)
        after = world.privileged()["peg"]
        assert 0.01 < np.linalg.norm(after[:2] - before[:2]) < 0.06
        assert abs(after[2]) < 0.001 and world.data.body("peg").xmat[8] > 0.999
