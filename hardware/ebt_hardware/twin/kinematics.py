"""Closed-form kinematics of the twin's arms, for the scripted operator.

The arm is a yaw joint, a three-link planar chain in the vertical plane that it turns, a roll about the hand and a
gripper. Angles add up from the vertical: with shoulder lift = elbow = wrist flex = 0 the arm points straight up.
"""

import numpy as np
from numpy.typing import NDArray

SHOULDER_HEIGHT_M = 0.10  # table to shoulder-lift axis
UPPER_ARM_M = 0.17
FOREARM_M = 0.17
HAND_M = 0.12  # wrist-flex axis to the point between the finger tips

Pose = NDArray[
    np.float64
]  # [5] x, y, z of the grasp point in the arm's base frame (m), yaw of the fingers (rad), pitch


class OutOfReach(ValueError):
    """The pose is farther away than the arm is long."""


def inverse(x: float, y: float, z: float, yaw: float) -> NDArray[np.float64]:
    """Joint angles [5] rad that put the grasp point at (x, y, z) m, hand straight down, fingers closing along `yaw`.

    `yaw` is the direction of the closing motion about the vertical; the gripper is symmetric, so the roll is the one
    nearest zero.

    Raises:
        OutOfReach: no joint angles reach that far.
    """
    pan = np.arctan2(y, x)
    radius = np.hypot(x, y)
    height = z + HAND_M - SHOULDER_HEIGHT_M
    distance = np.hypot(radius, height)
    bend = (distance**2 - UPPER_ARM_M**2 - FOREARM_M**2) / (2 * UPPER_ARM_M * FOREARM_M)
    if not -1 <= bend <= 1:
        raise OutOfReach(f"the grasp point would be {distance:.3f} m from the shoulder; the arm reaches 0.34 m")
    elbow = np.arccos(bend)
    lift = np.arctan2(radius, height) - np.arctan2(FOREARM_M * np.sin(elbow), UPPER_ARM_M + FOREARM_M * np.cos(elbow))
    wrist = np.pi - lift - elbow  # hand straight down
    roll = wrap_quarter(pan - yaw + np.pi / 2)
    return np.array([pan, lift, elbow, wrist, roll])


def wrap_quarter(angle: float) -> float:
    """Bring `angle` rad into [-pi/4, pi/4) by quarter turns: a cube is symmetric under each."""
    return float((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)
