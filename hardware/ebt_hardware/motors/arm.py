"""One arm: a bus of motors and its calibration, in radians."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import HardwareError
from ebt_data.step import Joints
from ebt_hardware.motors.calibration import Calibration

if TYPE_CHECKING:
    from ebt_hardware.motors.bus import DynamixelBus

TURN = 4096  # ticks
MULTI_TURN_MODES = (4, 5)  # extended position and current-based position, control table address 11


@dataclass(frozen=True)
class ArmState:
    """One synchronous read of an arm."""

    position: Joints
    velocity: Joints
    """[J] rad/s."""
    effort: Joints
    """[J] A, or fraction of stall."""
    fresh: NDArray[np.bool_]
    """[J] False where the motor did not answer and the values are from the previous read."""
    alert: NDArray[np.bool_]
    """[J] the motor's alert bit: its hardware-error register should be read."""


class Arm:
    """Converts between radians and ticks; independent of limits and time."""

    def __init__(
        self,
        name: str,
        bus: "DynamixelBus",
        calibration: Calibration,
        registers: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self.name = name
        self.bus = bus
        self.calibration = calibration
        self.joints = tuple(calibration.joints)
        self._registers = registers or {}
        """Joint to register to value: the registers that the bench file sets before torque is enabled."""
        self._turn_offset = np.zeros(len(self.joints), np.int32)

    def connect(self) -> None:
        """Open the bus, set the registers that the bench file names, and find each joint's turn offset."""
        self.bus.connect()
        self._configure()
        self._turn_offset = self._find_turn_offset()

    def read(self) -> ArmState:
        """Read every motor at once.

        Raises:
            HardwareError: the bus is lost.
        """
        state = self.bus.read()
        calibration = self.calibration
        return ArmState(
            calibration.radians(state.position + self._turn_offset),
            calibration.velocity(state.velocity),
            calibration.effort(state.effort),
            state.fresh,
            state.alert,
        )

    def send(self, goal: Joints) -> Joints:
        """Send goals [J] rad to the motors; return them rounded to whole ticks."""
        ticks = self.calibration.ticks(goal)
        self.bus.write_goal(ticks - self._turn_offset)
        return self.calibration.radians(ticks)

    def _configure(self) -> None:
        target: dict[str, dict[int, int]] = {}
        for joint, registers in self._registers.items():
            for register, value in registers.items():
                target.setdefault(register, {})[self.calibration.joints[joint].id] = value
        for register, values in target.items():
            present = self.bus.read_register(register)
            changed = {motor: value for motor, value in values.items() if present[motor] != value}
            if changed:
                self.bus.write(register, changed)

    def _find_turn_offset(self) -> NDArray[np.int32]:
        """Whole turns [J] in ticks to add to what a multi-turn motor reports.

        Such motors lose their turn count without power, so the turn nearest the calibrated range is used.
        """
        modes = self.bus.read_register("operating_mode")
        multi_turn = np.array([modes[joint.id] in MULTI_TURN_MODES for joint in self.calibration.joints.values()])
        state = self.bus.read()
        if not state.fresh.all():
            silent = [name for name, fresh in zip(self.joints, state.fresh, strict=True) if not fresh]
            raise HardwareError(
                f"{self.name}: no position from {', '.join(silent)}", hint="check the cables; ebt doctor"
            )
        middle = self.calibration.ticks(
            self.calibration.low + (self.calibration.high - self.calibration.low) / np.float32(2)
        )
        turns = np.rint((middle - state.position) / TURN).astype(np.int32)
        return np.where(multi_turn, turns * TURN, 0).astype(np.int32)
