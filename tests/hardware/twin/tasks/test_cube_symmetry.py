from itertools import permutations, product

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_hardware.twin.tasks.cube_symmetry import canonical_cube_pose
from ebt_hardware.twin.world import TwinWorld

Matrix = NDArray[np.float64]


def frame(quaternion: Matrix) -> Matrix:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quaternion, np.float64))
    return matrix.reshape(3, 3)


def turns() -> list[Matrix]:
    """The 24 rotations of a cube's symmetry group, as matrices."""
    matrices = []
    for axes, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        matrix = np.zeros((3, 3))
        matrix[range(3), axes] = signs
        if np.linalg.det(matrix) > 0:
            matrices.append(matrix)
    return matrices


TURNS = turns()


def tilted(turn: Matrix, yaw: float, tilt: float) -> Matrix:
    """[7] a cube that stands on one of its faces, turned and tilted."""
    quaternion = np.empty(4)
    lean = np.array([np.cos(tilt / 2), np.sin(tilt / 2), 0.0, 0.0])
    about = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
    mujoco.mju_mulQuat(quaternion, lean, about)
    whole = np.empty(4)
    mujoco.mju_mat2Quat(whole, (frame(quaternion) @ turn).ravel())
    return np.array([0.2, -0.1, 0.015, *whole])


@pytest.mark.parametrize("tilt", [0.0, 0.4, -0.6])
@pytest.mark.parametrize("yaw", [0.0, 0.7, 3.1, 3.2])
def test_a_cube_on_any_of_its_faces_has_an_upright_canonical_pose_equal_up_to_symmetry(yaw: float, tilt: float) -> None:
    assert len(TURNS) == 24
    for turn in TURNS:
        pose = tilted(turn, yaw, tilt)
        canonical = canonical_cube_pose(pose)
        assert canonical[:3].tolist() == pose[:3].tolist()
        assert frame(canonical[3:])[2, 2] == pytest.approx(np.cos(tilt), abs=1e-9)
        between = frame(pose[3:]).T @ frame(canonical[3:])
        assert any(np.allclose(between, same, atol=1e-9) for same in TURNS)


def test_the_pose_of_an_upright_cube_is_unchanged() -> None:
    for yaw in (0.7, 3.1, 3.2):  # also past half a turn, where the sign of w changes: it must not jump
        pose = np.array([0.2, -0.1, 0.015, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        assert canonical_cube_pose(pose).tolist() == pose.tolist()


def test_the_twin_reports_the_canonical_pose_of_a_tipped_cube() -> None:
    world = TwinWorld("pick_place")
    world.reset(3)
    upright = world.privileged()
    joint = world.data.joint("cube")
    tipped = np.empty(4)
    mujoco.mju_mulQuat(tipped, joint.qpos[3:].copy(), np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]))
    joint.qpos[3:] = tipped
    mujoco.mj_forward(world.model, world.data)
    poses_by_name = world.privileged()
    assert frame(poses_by_name["cube"][3:])[2, 2] == pytest.approx(1.0, abs=1e-5)
    for name in ("cube_from_hand", "bin_from_hand"):
        assert np.abs(poses_by_name[name][3:]) == pytest.approx(np.abs(upright[name][3:]), abs=1e-4)
