"""The canonical pose of a cube up to its symmetry, so that a tipped cube gets the pose of an upright one."""

import mujoco
import numpy as np
from numpy.typing import NDArray

_HALF = float(np.sqrt(0.5))
_AXIS_TURNS = (
    ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)),
    ((_HALF, 0.0, _HALF, 0.0), (_HALF, 0.0, -_HALF, 0.0)),
    ((_HALF, -_HALF, 0.0, 0.0), (_HALF, _HALF, 0.0, 0.0)),
)
"""Rotations wxyz that bring a cube's z axis onto its z, x and y (rows), in positive and in negative direction."""


def canonical_cube_pose(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """The equivalent pose [7] of the cube whose z axis points up.

    Position m, quaternion wxyz. The remaining tilt is below 55 degrees; quarter turns about z are not removed. If the
    cube's own z already points up, its quaternion is unchanged; otherwise the sign with w >= 0 is chosen.
    """
    frame = np.empty(9)
    mujoco.mju_quat2Mat(frame, pose[3:])
    heights = frame.reshape(3, 3)[2]  # z component of each axis
    axis = int(np.argmax(np.abs(heights)))
    row, end = {2: 0, 0: 1, 1: 2}[axis], int(heights[axis] < 0)
    if (row, end) == (0, 0):
        return pose.copy()
    canonical = np.empty(4)
    mujoco.mju_mulQuat(canonical, pose[3:], np.array(_AXIS_TURNS[row][end]))
    return np.concatenate([pose[:3], canonical if canonical[0] >= 0 else -canonical])
