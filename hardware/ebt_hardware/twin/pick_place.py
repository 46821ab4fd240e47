"""Pick a cube from anywhere on the table, at any yaw, and drop it into the bin. Held by friction alone."""

from collections.abc import Generator
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import MisuseError
from ebt_hardware.twin.kinematics import wrap_quarter
from ebt_hardware.twin.scene import GRIPPER_OPEN_RAD
from ebt_hardware.twin.task import Demonstration, HandTarget, View

CUBE_HALF_M = 0.015
FRICTION = 1.1  # of the cube on anything
FIELD_X_M = (0.14, 0.29)  # 15 cm x 15 cm, in the follower's base frame
FIELD_Y_M = (-0.12, 0.03)
BIN_M = (0.19, 0.17)
BIN_HALF_M = 0.055
GRASP_Z_M = 0.010
CARRY_Z_M = 0.085
SQUEEZE_RAD = 0.25  # asked of the gripper around a cube that stops it at 0.6
PUSH_N_PER_M_S, PUSH_LIMIT_N = 2.0, 1.0
SLIPPERY = 0.03  # of the usual friction, while the cube is knocked


@dataclass
class Push:
    """A disturbance under way: a finger moves the cube at a velocity with a limited force, perhaps out of a grip."""

    velocity: NDArray[np.float64]  # [3] m/s
    remaining_s: float
    slippery: bool


class PickPlace:
    """Implements `Task`."""

    def __init__(self) -> None:
        self._push: Push | None = None
        self._rng = np.random.default_rng(0)

    def xml(self) -> str:
        """A 3 cm cube of 30 g and an open bin."""
        x, y = BIN_M
        half, wall = BIN_HALF_M, 0.003
        walls = "".join(
            f'<geom type="box" size="{sx} {sy} 0.016" pos="{px} {py} 0.016" rgba="0.25 0.45 0.75 1"/>'
            for sx, sy, px, py in (
                (wall, half, half, 0),
                (wall, half, -half, 0),
                (half, wall, 0, half),
                (half, wall, 0, -half),
            )
        )
        return f"""
    <body name="bin" pos="{x} {y} 0"><geom type="box" size="{half} {half} 0.002" pos="0 0 0.002" rgba="0.3 0.5 0.8 1"/>{walls}</body>
    <body name="cube" pos="0.2 0 {CUBE_HALF_M}"><freejoint name="cube"/>
      <geom name="cube" type="box" size="{CUBE_HALF_M} {CUBE_HALF_M} {CUBE_HALF_M}" mass="0.03" rgba="0.85 0.12 0.15 1"
        priority="1" friction="{FRICTION} 0.02 0.001" condim="4" solref="0.006 1"/></body>"""

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Lay the cube anywhere in the field, at any yaw."""
        yaw = rng.uniform(-np.pi, np.pi)
        joint = data.joint("cube")
        joint.qpos[:3] = rng.uniform(*FIELD_X_M), rng.uniform(*FIELD_Y_M), CUBE_HALF_M
        joint.qpos[3:] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        joint.qvel[:] = 0.0
        self._let_be(model, data)
        self._rng = np.random.default_rng(rng.integers(2**63))

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Apply the push under way, if any."""
        if self._push is None:
            return
        force = PUSH_N_PER_M_S * (self._push.velocity - data.joint("cube").qvel[:3])
        size = float(np.linalg.norm(force))
        data.body("cube").xfrc_applied[:3] = force * min(1.0, PUSH_LIMIT_N / max(size, 1e-9))
        if self._push.slippery:
            model.geom("cube").friction[0] = FRICTION * SLIPPERY
        self._push.remaining_s -= dt_s
        if self._push.remaining_s <= 0:
            self._let_be(model, data)

    def _let_be(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._push = None
        data.body("cube").xfrc_applied[:] = 0.0
        model.geom("cube").friction[0] = FRICTION

    def succeeded(self, data: mujoco.MjData) -> bool:
        """The cube lies still in the bin."""
        offset = np.abs(data.body("cube").xpos - (*BIN_M, 0.0))
        inside = bool((offset[:2] < BIN_HALF_M).all() and offset[2] < 0.035)
        return inside and float(np.linalg.norm(data.joint("cube").qvel[:3])) < 0.05

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]:
        """Pose [7] of the cube."""
        return {"cube": data.joint("cube").qpos.astype(np.float32)}

    def disturb(self, data: mujoco.MjData, kind: str) -> None:
        """`knock`: a finger knocks the cube down, out of a grip, which lets it slip; `nudge`: pushes it some
        centimetres aside.

        Raises:
            MisuseError: any other kind.
        """
        side = self._rng.uniform(-np.pi, np.pi)
        aside = np.array([np.cos(side), np.sin(side), 0.0])
        if kind == "knock":
            self._push = Push(np.array([0.0, 0.0, -0.5]) + 0.2 * aside, 0.25, slippery=True)
        elif kind == "nudge":
            self._push = Push(0.3 * aside, 0.15, slippery=False)
        else:
            raise MisuseError(f"pick_place knows no disturbance {kind!r}", hint="choose knock or nudge")

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """Hover, descend, close, lift, carry, release; begin again where the cube was lost."""
        while True:
            view = yield from _approach(view, rng)
            view = yield from _grasp(view)
            drop = rng.normal(0, 0.008, 2) + BIN_M
            view = yield from _carry(view, drop)
            if not _holds(view):
                continue
            release = HandTarget((drop[0], drop[1], CARRY_Z_M - 0.02), 0.0, GRIPPER_OPEN_RAD)
            while view.gripper < 1.1:
                view = yield release
            for _ in range(12):
                view = yield HandTarget((drop[0], drop[1], CARRY_Z_M + 0.04), 0.0, GRIPPER_OPEN_RAD)
            if (np.abs(_cube(view)[0][:2] - BIN_M) < BIN_HALF_M).all():
                return


Phase = Generator[HandTarget, View, View]
"""A part of a demonstration; it returns the last view."""


def _approach(view: View, rng: np.random.Generator) -> Phase:
    """Wander over the field, then stop above the cube, roughly."""
    cube, yaw = _cube(view)
    # People don't go straight: a policy must not be able to tell the cube's place from the arm's way.
    for _ in range(rng.integers(0, 3)):
        point = (rng.uniform(*FIELD_X_M), rng.uniform(*FIELD_Y_M), rng.uniform(0.05, 0.13))
        detour = HandTarget(point, yaw + rng.normal(0, 0.3), GRIPPER_OPEN_RAD)
        for _ in range(rng.integers(4, 10)):
            view = yield detour
    start = cube[:2] + rng.normal(0, 0.012, 2)  # nor do they arrive exactly above
    hover = HandTarget((*start, rng.uniform(0.055, 0.08)), yaw, GRIPPER_OPEN_RAD)
    return (yield from _go(view, hover, 0.015, 200))


def _grasp(view: View) -> Phase:
    """Go down around the cube, close until the fingers stop, and lift."""
    cube, yaw = _cube(view)
    x, y = float(cube[0]), float(cube[1])
    view = yield from _go(view, HandTarget((x, y, GRASP_Z_M), yaw, GRIPPER_OPEN_RAD, careful=True), 0.005, 60)
    still = 0
    for _ in range(30):
        before = view.gripper
        view = yield HandTarget((x, y, GRASP_Z_M), yaw, SQUEEZE_RAD)
        still = still + 1 if abs(view.gripper - before) < 0.01 and view.gripper < 1.0 else 0
        if still >= 3:
            break
    return (yield from _go(view, HandTarget((x, y, CARRY_Z_M), yaw, SQUEEZE_RAD), 0.02, 40))


def _carry(view: View, drop: NDArray[np.float64]) -> Phase:
    """Go above `drop` [2] m for as long as the cube comes along."""
    carry = HandTarget((drop[0], drop[1], CARRY_Z_M), 0.0, SQUEEZE_RAD)
    while _holds(view) and not _near(view, carry, 0.02):
        view = yield carry
    return view


def _go(view: View, target: HandTarget, tolerance_m: float, ticks: int) -> Phase:
    """Be asked for `target` until it is near, at most so often."""
    for _ in range(ticks):
        if _near(view, target, tolerance_m):
            break
        view = yield target
    return view


def _holds(view: View) -> bool:
    """The cube is in the air."""
    return bool(_cube(view)[0][2] > CUBE_HALF_M + 0.02)


def _cube(view: View) -> tuple[NDArray[np.float64], float]:
    """Position [3] m of the cube and the yaw of a pair of its faces, rad."""
    pose = view.objects["cube"].astype(np.float64)
    w, x, y, z = pose[3:]
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return pose[:3], wrap_quarter(float(yaw))


def _near(view: View, target: HandTarget, tolerance_m: float) -> bool:
    return bool(np.linalg.norm(view.grasp - target.position) < tolerance_m)
