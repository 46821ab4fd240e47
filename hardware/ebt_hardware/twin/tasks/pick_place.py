"""Pick a cube from anywhere on the table, at any yaw, and drop it into the bin. Gripped by friction only."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_hardware.twin.scene import GRIPPER_OPEN_RAD
from ebt_hardware.twin.tasks.cube_symmetry import canonical_cube_pose
from ebt_hardware.twin.tasks.goal import Goal
from ebt_hardware.twin.tasks.motions import Phase, close_gripper, is_near, move_to, position_and_yaw, wander
from ebt_hardware.twin.tasks.push import Push, Pusher
from ebt_hardware.twin.tasks.task import Demonstration, HandTarget, View

CUBE_HALF_M = 0.015
FRICTION = 1.1  # of the cube on anything
FIELD_X_M = (0.14, 0.29)  # 15 cm x 15 cm, in the follower's base frame
FIELD_Y_M = (-0.12, 0.03)
BIN_M = (0.19, 0.17)
BIN_HALF_M = 0.055
BIN_X_M, BIN_Y_M = (0.13, 0.23), (0.115, 0.19)  # limits of the bin's centre: off the field and in view
GRASP_Z_M = 0.010
CARRY_Z_M = 0.085
SQUEEZE_RAD = 0.25  # gripper goal around a cube that stops it at 0.6
LIFTED_M = 0.05
PUSH_N_S_M, PUSH_LIMIT_N = 2.0, 1.0


class PickPlace:
    """Implements `Task`.

    `knock` knocks the cube down and out of a grip, `nudge` pushes it and `move_goal` slides the bin, a few
    centimetres sideways.
    """

    longest_s = 15.0  # a demonstration takes three to five
    disturbances = ("knock", "nudge", "move_goal")

    def __init__(self) -> None:
        self._pusher = Pusher("cube", ("cube",), PUSH_N_S_M)
        self._bin = Goal("bin", BIN_M, BIN_X_M, BIN_Y_M)
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
    <body name="bin" mocap="true" pos="{x} {y} 0"><geom type="box" size="{half} {half} 0.002" pos="0 0 0.002" rgba="0.3 0.5 0.8 1"/>{walls}</body>
    <body name="cube" pos="0.2 0 {CUBE_HALF_M}"><freejoint name="cube"/>
      <geom name="cube" type="box" size="{CUBE_HALF_M} {CUBE_HALF_M} {CUBE_HALF_M}" mass="0.03" rgba="0.85 0.12 0.15 1"
        priority="1" friction="{FRICTION} 0.02 0.001" condim="4" solref="0.006 1"/></body>"""

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Put the cube anywhere in the field, at any yaw; the bin is at home."""
        yaw = rng.uniform(-np.pi, np.pi)
        joint = data.joint("cube")
        joint.qpos[:3] = rng.uniform(*FIELD_X_M), rng.uniform(*FIELD_Y_M), CUBE_HALF_M
        joint.qpos[3:] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        joint.qvel[:] = 0.0
        self._pusher.reset(model, data)
        self._bin.reset(model, data)
        self._rng = np.random.default_rng(rng.integers(2**63))

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Apply the current push and slide, if any."""
        self._pusher.before_step(model, data, dt_s)
        self._bin.before_step(model, data, dt_s)

    def succeeded(self, data: mujoco.MjData) -> bool:
        """The cube is at rest in the bin."""
        offset = np.abs(data.body("cube").xpos - data.body("bin").xpos)
        inside = bool((offset[:2] < BIN_HALF_M).all() and offset[2] < 0.035)
        return inside and float(np.linalg.norm(data.joint("cube").qvel[:3])) < 0.05

    def lifted(self, data: mujoco.MjData) -> bool:
        """The cube is well above the table."""
        return bool(data.joint("cube").qpos[2] > LIFTED_M)

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]:
        """Poses [7] of the cube's centre, canonical up to symmetry, and of the bin's centre at table height."""
        return {"cube": canonical_cube_pose(data.joint("cube").qpos).astype(np.float32), "bin": self._bin.pose(data)}

    def disturb(self, data: mujoco.MjData, kind: str) -> None:
        """Start the disturbance, in a random direction."""
        if kind == "move_goal":
            self._bin.slide(self._rng)
            return
        angle = self._rng.uniform(-np.pi, np.pi)
        direction = np.array([np.cos(angle), np.sin(angle), 0.0])
        if kind == "knock":
            down = np.array([0.0, 0.0, -0.5])
            self._pusher.push(Push(down + 0.2 * direction, 0.25, PUSH_LIMIT_N, slippery=True))
        else:
            self._pusher.push(Push(0.3 * direction, 0.15, PUSH_LIMIT_N))

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """Hover, descend, close, lift, carry, release; start again if the cube is lost."""
        while True:
            view = yield from _approach(view, rng)
            view = yield from _grasp(view)
            aim_error = rng.normal(0, 0.008, 2)
            view = yield from self._carry(view, aim_error)
            if not _is_held(view):
                continue
            while view.gripper < 1.1:
                view = yield self._over_bin(aim_error, CARRY_Z_M - 0.02, GRIPPER_OPEN_RAD)
            for _ in range(12):
                view = yield self._over_bin(aim_error, CARRY_Z_M + 0.04, GRIPPER_OPEN_RAD)
            if (np.abs(_cube(view)[0][:2] - self._bin.position) < BIN_HALF_M).all():
                return

    def _carry(self, view: View, aim_error: NDArray[np.float64]) -> Phase:
        """Carry the cube to the bin, and follow the bin, while the gripper holds the cube."""
        while _is_held(view) and not is_near(view, target := self._over_bin(aim_error, CARRY_Z_M, SQUEEZE_RAD), 0.02):
            view = yield target
        return view

    def _over_bin(self, aim_error: NDArray[np.float64], height_m: float, gripper_rad: float) -> HandTarget:
        """`aim_error` [2] m off the bin's centre, wherever the bin is now."""
        x, y = aim_error + self._bin.position
        return HandTarget((x, y, height_m), 0.0, gripper_rad)


def _approach(view: View, rng: np.random.Generator) -> Phase:
    """Make detours over the field, then stop roughly above the cube."""
    cube, yaw = _cube(view)
    view = yield from wander(view, rng, FIELD_X_M, FIELD_Y_M, yaw)
    start = cube[:2] + rng.normal(0, 0.012, 2)  # operators do not arrive exactly above
    hover = HandTarget((*start, rng.uniform(0.055, 0.08)), yaw, GRIPPER_OPEN_RAD)
    return (yield from move_to(view, hover, 0.015, 200))


def _grasp(view: View) -> Phase:
    """Go down around the cube, close until the fingers stop, and lift."""
    cube, yaw = _cube(view)
    x, y = float(cube[0]), float(cube[1])
    view = yield from move_to(view, HandTarget((x, y, GRASP_Z_M), yaw, GRIPPER_OPEN_RAD, careful=True), 0.005, 60)
    view = yield from close_gripper(view, HandTarget((x, y, GRASP_Z_M), yaw, SQUEEZE_RAD))
    return (yield from move_to(view, HandTarget((x, y, CARRY_Z_M), yaw, SQUEEZE_RAD), 0.02, 40))


def _is_held(view: View) -> bool:
    """The cube is in the air."""
    return bool(_cube(view)[0][2] > CUBE_HALF_M + 0.02)


def _cube(view: View) -> tuple[NDArray[np.float64], float]:
    """Position [3] m of the cube and the yaw of a pair of its faces, rad."""
    return position_and_yaw(view.objects["cube"])
