"""Object poses relative to the hand, for policies that observe state."""

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_hardware.twin.tasks.registry import TASKS
from ebt_hardware.twin.tasks.relative_poses import relative_to_hand
from ebt_hardware.twin.world import TwinWorld

Pose = NDArray[np.float32]


def turned(yaw: float) -> Pose:
    """A cube on the table."""
    return np.array([0.2, -0.05, 0.015, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)], np.float32)


def from_hand(world: TwinWorld, pose: Pose) -> Pose:
    return relative_to_hand(world.data, {"it": pose})["it_from_hand"]


def matrix(quaternion: NDArray[np.float32]) -> NDArray[np.float64]:
    """[3, 3]."""
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, quaternion.astype(np.float64))
    return flat.reshape(3, 3)


@pytest.mark.parametrize(
    ("task", "objects"), [("pick_place", {"cube", "bin"}), ("peg_insert", {"peg", "socket_0", "socket_1"})]
)
def test_every_object_has_a_pose_in_the_world_and_from_the_hand(task: str, objects: set[str]) -> None:
    poses_by_name = TwinWorld(task).privileged()
    assert set(poses_by_name) == objects | {f"{name}_from_hand" for name in objects} | {"hand"}
    assert all(pose.shape == (7,) and pose.dtype == np.float32 for pose in poses_by_name.values())
    assert all(abs(np.linalg.norm(pose[3:]) - 1) < 1e-6 for pose in poses_by_name.values())


@pytest.mark.parametrize("task", TASKS)
def test_hand_and_pose_from_it_give_the_pose_in_the_world_but_for_quarter_turns(task: str) -> None:
    world = TwinWorld(task)
    for seed in range(5):
        world.reset(seed)
        world.demonstrate()
        world.advance(0.5)
        poses_by_name = world.privileged()
        hand = matrix(poses_by_name["hand"][3:])
        for name, pose in world.task.privileged(world.data).items():
            relative = poses_by_name[f"{name}_from_hand"]
            np.testing.assert_allclose(poses_by_name["hand"][:3] + hand @ relative[:3], pose[:3], atol=1e-6)
            turn = matrix(pose[3:]).T @ hand @ matrix(relative[3:])
            assert turn[2, 2] == pytest.approx(1.0, abs=1e-6)
            quarters = np.arctan2(turn[1, 0], turn[0, 0]) / (np.pi / 2)
            assert quarters == pytest.approx(round(quarters), abs=1e-5)


def test_the_hand_at_home_points_straight_down(world: TwinWorld) -> None:
    np.testing.assert_allclose(world.privileged()["hand"][3:], (0, 0, 1, 0), atol=0.02)


def test_a_cube_turned_by_quarters_has_the_same_pose(world: TwinWorld) -> None:
    for yaw in (0.3, -0.7):
        for quarters in range(1, 5):
            same = from_hand(world, turned(yaw + quarters * np.pi / 2))
            np.testing.assert_allclose(same, from_hand(world, turned(yaw)), atol=1e-6)
            np.testing.assert_allclose(from_hand(world, -turned(yaw))[3:], same[3:], atol=1e-6)


def test_over_an_upright_cube_x_is_half_the_turn_that_is_missing(world: TwinWorld) -> None:
    for yaw in (-0.5, -0.1, 0.2, 0.7):
        _, x, y, _ = from_hand(world, turned(yaw))[3:]
        assert x == pytest.approx(np.sin(yaw / 2), abs=0.02)
        assert y > 0.92


def test_it_jumps_once_a_quarter_turn_and_nowhere_else(world: TwinWorld) -> None:
    quaternions = np.array([from_hand(world, turned(yaw))[3:] for yaw in np.linspace(-np.pi, np.pi, 721)])
    steps = np.linalg.norm(np.diff(quaternions, axis=0), axis=1)
    assert (steps > 0.01).sum() == 4
