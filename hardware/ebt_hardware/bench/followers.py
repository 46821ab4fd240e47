"""All followers of a bench as one joint vector, in bench-file order."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import HardwareError
from ebt_data.step import Joints
from ebt_hardware.motors.arm import Arm, ArmState
from ebt_hardware.motors.bus_errors import MotorSilent
from ebt_hardware.motors.health import MotorHealth


class Followers:
    """One or two arms, read and commanded in the same tick. With two, joint names are prefixed with the arm's name."""

    def __init__(self, arms: Sequence[Arm]) -> None:
        self.arms = tuple(arms)
        self.joints = joint_names(self.arms)
        counts = np.cumsum([0, *(len(arm.joints) for arm in self.arms)])
        self._parts = [slice(a, b) for a, b in pairwise(counts)]

    def connect(self) -> None:
        """Open every bus; collect all failures in one HardwareError."""
        self._each(lambda arm: arm.connect())

    def read(self) -> ArmState:
        """All joints [J]."""
        states = [arm.read() for arm in self.arms]
        return ArmState(
            np.concatenate([state.position for state in states]),
            np.concatenate([state.velocity for state in states]),
            np.concatenate([state.effort for state in states]),
            np.concatenate([state.fresh for state in states]),
            np.concatenate([state.alert for state in states]),
        )

    def send(self, goal: Joints) -> Joints:
        """Send goals [J] rad to all motors; return them rounded to whole ticks."""
        return np.concatenate([arm.send(goal[part]) for arm, part in zip(self.arms, self._parts, strict=True)])

    def set_torque(self, on: bool) -> None:
        """Switch torque of all arms; a failure of one arm does not prevent it for the other."""
        self._each(lambda arm: arm.bus.set_torque(on))

    def torque(self) -> NDArray[np.bool_]:
        """[J] which motors have torque on."""
        return np.concatenate([arm.bus.torque() for arm in self.arms])

    def arm_watchdog(self, timeout_s: float | None) -> None:
        """Let the motors stop by themselves after this time without a packet; None disarms. Clears a trip."""
        self._each(lambda arm: arm.bus.arm_watchdog(timeout_s))

    def health(self, place: int) -> MotorHealth:
        """The status of one joint's motor: one short transaction."""
        for arm, part in zip(self.arms, self._parts, strict=True):
            if place < part.stop:
                motor = tuple(arm.calibration.motors)[place - part.start]
                return arm.bus.health([motor])[motor]
        raise IndexError(place)

    def explain(self, faulty: NDArray[np.bool_]) -> str:
        """The faults that the motors of these joints [J] report; slow."""
        faulty_joints = []
        for place in np.flatnonzero(faulty):
            try:
                faults = ", ".join(self.health(int(place)).errors) or "an alert that has cleared"
            except MotorSilent:
                faults = "an alert, and the motor no longer responds"
            faulty_joints.append(f"{self.joints[place]}: {faults}")
        return "; ".join(faulty_joints)

    def _each(self, action: Callable[[Arm], None]) -> None:
        errors = []
        for arm in self.arms:
            try:
                action(arm)
            except HardwareError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise HardwareError("; ".join(map(str, errors)), hint=errors[0].hint)


def joint_names(arms: Sequence[Arm]) -> tuple[str, ...]:
    """`shoulder_pan` where there is one arm, `left/shoulder_pan` where there are two."""
    if len(arms) == 1:
        return arms[0].joints
    return tuple(f"{arm.name}/{joint}" for arm in arms for joint in arm.joints)
