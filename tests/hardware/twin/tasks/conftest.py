"""Positions of a task's goals."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_hardware.twin.world import TwinWorld

GOALS = {"pick_place": ("bin",), "peg_insert": ("socket_0", "socket_1")}


def places(world: TwinWorld, task: str) -> NDArray[np.float32]:
    """[goals, 2] m."""
    poses = world.privileged()
    return np.array([poses[name][:2] for name in GOALS[task]])


@pytest.fixture
def world() -> TwinWorld:
    return TwinWorld("pick_place")
