"""Object poses relative to the hand: for policies that observe state instead of images."""

from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

_EIGHTHS = np.arange(8) * np.pi / 4  # half angles of the quarter turns; the last four repeat them with opposite sign


def relative_to_hand(
    data: mujoco.MjData, poses: Mapping[str, NDArray[np.float32]], site: str = "follower/grasp"
) -> dict[str, NDArray[np.float32]]:
    """`hand`, the site's pose [7] in the world frame, and each object's pose in the hand's frame, `NAME_from_hand` [7].

    Position m, quaternion wxyz. The tasks' objects are symmetric under quarter turns about their own z. Of the four
    turns and the two signs of each quaternion, the one nearest to (0, 0, 1, 0) is chosen: a hand that points straight
    down and is turned like the object. Over an upright object, y stays above 0.92, x is half the
    remaining turn, and w and z encode the tilt. It jumps only where the remaining turn passes 45
    degrees; there, both directions of turning are equivalent.
    """
    position, frame = data.site(site).xpos, data.site(site).xmat
    hand = np.empty(4)
    mujoco.mju_mat2Quat(hand, frame)
    relative = {"hand": _pose(position, hand if hand[2] >= 0 else -hand)}
    for name, pose in poses.items():
        offset = frame.reshape(3, 3).T @ (pose[:3] - position)
        relative[f"{name}_from_hand"] = _pose(offset, _nearest_quarter_turn(hand, pose[3:].astype(np.float64)))
    return relative


def _nearest_quarter_turn(hand: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """[4] `target` from `hand`, both [4] in the world, after the quarter turn that makes y greatest."""
    inverse, turned = np.empty(4), np.empty(4)
    mujoco.mju_negQuat(inverse, hand)
    mujoco.mju_mulQuat(turned, inverse, target)
    _, x, y, _ = turned
    half = _EIGHTHS[np.argmax(y * np.cos(_EIGHTHS) - x * np.sin(_EIGHTHS))]
    nearest = np.empty(4)
    mujoco.mju_mulQuat(nearest, turned, np.array([np.cos(half), 0.0, 0.0, np.sin(half)]))
    return nearest


def _pose(position: NDArray[np.float64], quaternion: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.concatenate([position, quaternion]).astype(np.float32)
