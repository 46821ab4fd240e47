"""The success test follows the bin."""

import numpy as np

from ebt_hardware.twin.tasks.pick_place import BIN_HALF_M
from ebt_hardware.twin.world import TwinWorld
from tests.hardware.twin.tasks.conftest import places


def test_the_cube_counts_where_the_bin_is_now() -> None:
    world = TwinWorld("pick_place")
    old = places(world, "pick_place")[0]
    world.disturb("move_goal")
    world.advance(0.6)
    new = places(world, "pick_place")[0]
    beyond = old + (old - new) * (BIN_HALF_M - 0.01) / np.linalg.norm(old - new)
    for place, done in ((new, True), (beyond, False)):
        world.data.joint("cube").qpos[:] = (*place, 0.03, 1, 0, 0, 0)
        world.data.joint("cube").qvel[:] = 0.0
        world.advance(0.5)
        assert world.succeeded() is done


def test_the_bin_pushes_the_cube_along() -> None:
    world = TwinWorld("pick_place")
    for seed in range(4):
        world.reset(seed)
        world.data.joint("cube").qpos[:] = (*places(world, "pick_place")[0], 0.03, 1, 0, 0, 0)
        world.disturb("move_goal")
        world.advance(1.0)
        assert world.succeeded()
