"""Motion primitives for demonstrations; each yields hand targets and returns the last view."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from ebt_hardware.twin.kinematics import wrap_quarter
from ebt_hardware.twin.scene import GRIPPER_OPEN_RAD
from ebt_hardware.twin.tasks.task import HandTarget, View

Phase = Generator[HandTarget, View, View]
"""A part of a demonstration; it returns the last view."""


def move_to(view: View, target: HandTarget, tolerance_m: float, ticks: int) -> Phase:
    """Yield `target` until the hand is within `tolerance_m` of it, at most `ticks` times."""
    for _ in range(ticks):
        if is_near(view, target, tolerance_m):
            break
        view = yield target
    return view


def wander(
    view: View, rng: np.random.Generator, field_x_m: tuple[float, float], field_y_m: tuple[float, float], yaw: float
) -> Phase:
    """Up to two detours over a field: a policy must not be able to infer an object's position from the arm's path."""
    for _ in range(rng.integers(0, 3)):
        point = (rng.uniform(*field_x_m), rng.uniform(*field_y_m), rng.uniform(0.05, 0.13))
        detour = HandTarget(point, yaw + rng.normal(0, 0.3), GRIPPER_OPEN_RAD)
        for _ in range(rng.integers(4, 10)):
            view = yield detour
    return view


def close_gripper(view: View, target: HandTarget, ticks: int = 30) -> Phase:
    """Close towards `target` until the fingers stop at an object, at most `ticks` times."""
    still = 0
    for _ in range(ticks):
        before = view.gripper
        view = yield target
        still = still + 1 if abs(view.gripper - before) < 0.01 and view.gripper < 1.0 else 0
        if still >= 3:
            break
    return view


def is_near(view: View, target: HandTarget, tolerance_m: float) -> bool:
    """True if the grasp point is within `tolerance_m` of the target."""
    return bool(np.linalg.norm(view.grasp - target.position) < tolerance_m)


def position_and_yaw(pose: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Position [3] m of an upright square object with `pose` [7], and the yaw of a pair of its faces, rad."""
    w, x, y, z = pose[3:].astype(np.float64)
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return pose[:3].astype(np.float64), wrap_quarter(float(yaw))
