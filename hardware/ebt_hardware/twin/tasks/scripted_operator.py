"""A scripted operator: uses the true state and moves the leader arm with limited speed, tremor and offsets."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_hardware.twin.kinematics import OutOfReach, inverse
from ebt_hardware.twin.scene import FINGER_TRAVEL_M_PER_RAD, GRIPPER_OPEN_RAD, JOINTS
from ebt_hardware.twin.tasks.task import Demonstration, HandTarget, Task, View

HOME_M = (0.16, 0.0, 0.14)
SPEED_M_S, CAREFUL_SPEED_M_S = 0.30, 0.12
TURN_RAD_S = 2.5
GRIP_RAD_S = 4.0
TREMOR_M = 0.002  # standard deviation, while not careful
CORRECTION = 0.25  # fraction of the follower's error that the operator corrects each tick
CORRECTION_LIMIT_M = 0.02


class ScriptedOperator:
    """Holds the leader arm at home until `start`; then demonstrates the task once.

    It acts only through forces on the leader arm, so that its motions reach the follower by teleoperation.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, task: Task) -> None:
        self._data = data
        self._task = task
        self._actuators = [model.actuator(f"hand/{joint}").id for joint in JOINTS]
        self.home = np.append(inverse(*HOME_M, yaw=0.0), GRIPPER_OPEN_RAD)
        """[6] rad."""
        self.active = False
        self.done = False
        self._rng = np.random.default_rng(0)
        self._demonstration: Demonstration | None = None
        self._command(self.home)

    def reset(self, rng: np.random.Generator) -> None:
        """Move the leader home; `rng` generates this episode's tremor and speed."""
        self._rng = rng
        self._demonstration = None
        self.active = False
        self.done = False
        self._command(self.home)

    def start(self) -> None:
        """Demonstrate, from the next tick on."""
        self.active = True
        self._commanded_position = np.array(HOME_M)  # [3] m, commanded position of the leader's grasp point
        self._yaw, self._grip = 0.0, GRIPPER_OPEN_RAD
        self._offset = np.zeros(3)  # m, random error of a position
        self._tremor = np.zeros(3)
        self._speed_factor = self._rng.uniform(0.8, 1.15)
        self._demonstration = self._task.demonstrate(self._view(), self._rng)
        self._target = next(self._demonstration)

    def move(self, dt_s: float) -> None:
        """Advance the demonstration and the hand by `dt_s`."""
        if self._demonstration is None:
            return
        view = self._view()
        try:
            self._target = self._demonstration.send(view)
        except StopIteration:
            self._demonstration, self.done, self.active = None, True, False
            return
        self._track(self._target, view, dt_s)

    def _track(self, target: HandTarget, view: View, dt_s: float) -> None:
        goal = np.array(target.position)
        speed = (CAREFUL_SPEED_M_S if target.careful else SPEED_M_S) * self._speed_factor
        self._commanded_position += _limit(goal - self._commanded_position, speed * dt_s)
        self._yaw += float(np.clip(target.yaw - self._yaw, -TURN_RAD_S * dt_s, TURN_RAD_S * dt_s))
        self._grip += float(np.clip(target.gripper - self._grip, -GRIP_RAD_S * dt_s, GRIP_RAD_S * dt_s))
        if target.careful:
            self._offset = _limit(
                self._offset + CORRECTION * (self._commanded_position - view.grasp), CORRECTION_LIMIT_M
            )
            self._tremor *= 0.8
        else:
            self._offset *= 0.97
            self._tremor += 0.2 * (-self._tremor) + np.sqrt(0.4) * TREMOR_M * self._rng.normal(size=3)
        x, y, z = self._commanded_position + self._offset + self._tremor
        try:
            self._command(np.append(inverse(x, y, z, self._yaw), self._grip))
        except OutOfReach:
            self._offset *= 0.5

    def _command(self, joints: NDArray[np.float64]) -> None:
        self._data.ctrl[self._actuators] = joints

    def _view(self) -> View:
        length = self._data.joint("follower/finger_left").qpos[0] + self._data.joint("follower/finger_right").qpos[0]
        return View(
            grasp=self._data.site("follower/grasp").xpos.copy(),
            gripper=float(length / 2 / FINGER_TRAVEL_M_PER_RAD),
            objects=self._task.privileged(self._data),
        )


def _limit(vector: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    size = float(np.linalg.norm(vector))
    return vector if size <= length else vector * (length / size)
