"""The canonical pose of a cube up to its symmetry, so that a tipped cube has the pose that it appears to have: upright."""

import mujoco
import numpy as np
from numpy.typing import NDArray

_HALF = float(np.sqrt(0.5))
_ONTO = (
    ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)),
    ((_HALF, 0.0, _HALF, 0.0), (_HALF, 0.0, -_HALF, 0.0)),
    ((_HALF, -_HALF, 0.0, 0.0), (_HALF, _HALF, 0.0, 0.0)),
)
"""Turns wxyz that bring a cube's own z to its z, x and y (rows), to their positive and their negative ends."""


def upmost(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """The equivalent pose [7] of the cube whose z axis points up.

    Position m, quaternion wxyz. What is left of the tilt is below 55 degrees; a quarter turn about z is not undone. A cube
    whose own z is the upmost keeps its quaternion; of another's two signs it gets that with w >= 0.
    """
    frame = np.empty(9)
    mujoco.mju_quat2Mat(frame, pose[3:])
    heights = frame.reshape(3, 3)[2]  # of the ends of its axes
    axis = int(np.argmax(np.abs(heights)))
    row, end = {2: 0, 0: 1, 1: 2}[axis], int(heights[axis] < 0)
    if (row, end) == (0, 0):
        return pose.copy()
    named = np.empty(4)
    mujoco.mju_mulQuat(named, pose[3:], np.array(_ONTO[row][end]))
    return np.concatenate([pose[:3], named if named[0] >= 0 else -named])
