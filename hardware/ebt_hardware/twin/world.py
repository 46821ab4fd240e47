"""The twin's world: physics, motor horns of both arms, scripted operator and task, in simulated time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import ConfigError, MisuseError
from ebt_hardware.twin.scene import FINGER_TRAVEL_M_PER_RAD, JOINTS, bench_xml
from ebt_hardware.twin.tasks.registry import DEFAULT_TASK, find_task, task_label
from ebt_hardware.twin.tasks.relative_poses import relative_to_hand
from ebt_hardware.twin.tasks.scripted_operator import ScriptedOperator

SLICE_S = 0.01  # physics time between two updates of the emulated motors
OPERATOR_PERIOD_S = 0.05


class TwinShaft:
    """A motor horn of a simulated arm; implements the emulator's `Shaft`."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, arm: str, joint: str) -> None:
        self._data = data
        self._actuator = model.actuator(f"{arm}/{joint}").id
        self._model = model
        self._gain = float(model.actuator_gainprm[self._actuator, 0])
        self._bias = model.actuator_biasprm[self._actuator].copy()
        self._stall = float(model.actuator_forcerange[self._actuator, 1])
        self.drive(None, 1.0)

    def position(self) -> float:
        """Rad, continuous."""
        return float(self._data.actuator_length[self._actuator])

    def velocity(self) -> float:
        """Rad/s."""
        return float(self._data.actuator_velocity[self._actuator])

    def effort(self) -> float:
        """Motor torque over stall torque, signed."""
        return float(self._data.actuator_force[self._actuator]) / self._stall

    def drive(self, goal_rad: float | None, effort_limit: float) -> None:
        """Servo to `goal_rad` with at most `effort_limit` of the stall torque; None lets the horn turn freely."""
        actuator = self._actuator
        if goal_rad is None:
            self._model.actuator_gainprm[actuator, 0] = 0.0
            self._model.actuator_biasprm[actuator] = 0.0
            return
        self._model.actuator_gainprm[actuator, 0] = self._gain
        self._model.actuator_biasprm[actuator] = self._bias
        self._model.actuator_forcerange[actuator] = (-effort_limit * self._stall, effort_limit * self._stall)
        self._data.ctrl[actuator] = goal_rad


@dataclass(frozen=True)
class TwinArm:
    """Six motor horns, ids 1 to 6 in the order of `scene.JOINTS`."""

    shafts: tuple[TwinShaft, ...]


class TwinWorld:
    """The simulation, for one process and one thread. Only `advance` and `reset` change its state."""

    def __init__(self, task: str = DEFAULT_TASK) -> None:
        """`task` is a name or a path, as in `tasks.registry.find_task`.

        Raises:
            ConfigError: there is no such task, or MuJoCo cannot parse its objects.
        """
        self.task, self._name = find_task(task)(), task_label(task)
        try:
            self.model = mujoco.MjModel.from_xml_string(bench_xml(self.task.xml()))
        except ValueError as error:
            raise ConfigError(f"task {task}: MuJoCo cannot read its objects: {error}") from error
        self.data = mujoco.MjData(self.model)
        self.arms: Mapping[str, TwinArm] = {
            name: TwinArm(tuple(TwinShaft(self.model, self.data, name, joint) for joint in JOINTS))
            for name in ("follower", "leader")
        }
        self.time_s = 0.0
        self.operator = ScriptedOperator(self.model, self.data, self.task)
        self._subscribers: list[Callable[[float], None]] = []
        self._operator_due_s = 0.0
        for name in self.arms:
            self._set_joint_positions(name, self.operator.home)
        self.reset(0)

    def on_step(self, subscriber: Callable[[float], None]) -> None:
        """Call `subscriber(dt_s)` after every 10 ms of physics."""
        self._subscribers.append(subscriber)

    def reset(self, seed: int) -> None:
        """Reset the scene and restart the operator; the arms keep their poses."""
        rng = np.random.default_rng(seed)
        self.task.reset(self.model, self.data, rng)
        mujoco.mj_forward(self.model, self.data)
        self.operator.reset(rng)

    def advance(self, duration_s: float) -> None:
        """Simulate `duration_s`, a multiple of 10 ms."""
        for _ in range(round(duration_s / SLICE_S)):
            if self.time_s >= self._operator_due_s:
                self.operator.move(OPERATOR_PERIOD_S)
                self._operator_due_s = self.time_s + OPERATOR_PERIOD_S - SLICE_S / 2
            self.task.before_step(self.model, self.data, SLICE_S)
            mujoco.mj_step(self.model, self.data, nstep=round(SLICE_S / self.model.opt.timestep))
            self.time_s += SLICE_S
            for subscriber in self._subscribers:
                subscriber(SLICE_S)

    def succeeded(self) -> bool:
        """True while the task's success test holds."""
        return self.task.succeeded(self.data)

    def privileged(self) -> dict[str, NDArray[np.float32]]:
        """Poses by name: [7] = position m, quaternion wxyz.

        Poses of the task's objects in the world frame, and relative to the hand.
        """
        poses = self.task.privileged(self.data)
        return relative_to_hand(self.data, poses) | poses

    def lifted(self) -> bool:
        """True while the gripper holds the task's object up."""
        return self.task.lifted(self.data)

    def disturb(self, kind: str) -> None:
        """Disturb the scene physically.

        Raises:
            MisuseError: the task has no such disturbance; the message lists them.
        """
        if kind not in self.task.disturbances:
            known = " or ".join(self.task.disturbances)
            raise MisuseError(f"{self._name} has no disturbance {kind!r}", hint=f"choose {known}" if known else "")
        self.task.disturb(self.data, kind)

    def demonstrate(self) -> None:
        """Start the scripted operator's demonstration of the task."""
        self.operator.start()

    def demonstrating(self) -> bool:
        """False once the scripted operator has released the leader arm."""
        return self.operator.active

    def _set_joint_positions(self, arm: str, joints: NDArray[np.float64]) -> None:
        """Set an arm's joint positions [6] rad directly; only before the first step."""
        for joint, value in zip(JOINTS[:5], joints[:5], strict=True):
            self.data.joint(f"{arm}/{joint}").qpos[0] = value
        for side in ("left", "right"):
            self.data.joint(f"{arm}/finger_{side}").qpos[0] = joints[5] * FINGER_TRAVEL_M_PER_RAD
