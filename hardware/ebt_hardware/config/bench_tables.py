"""Typed tables of a bench file for arms, cameras and safety; shared by every kind of bench."""

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from ebt_data.errors import ConfigError, HardwareError
from ebt_data.step import CameraSpec, Joints
from ebt_hardware.bench.followers import joint_names
from ebt_hardware.bench.rig import Motion
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.calibration import Calibration, JointCalibration
from ebt_hardware.motors.control_table import load_table
from ebt_hardware.safety.supervisor import Limits


class Table(BaseModel):
    """A table in a bench file: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraTable(Table):
    """One camera."""

    height: PositiveInt = 480
    """Pixels."""
    width: PositiveInt = 640
    rate_hz: PositiveFloat = 30.0
    depth_unit_m: PositiveFloat | None = None
    """Metres per depth count; if omitted, no depth is recorded."""

    @property
    def spec(self) -> CameraSpec:
        return CameraSpec(self.height, self.width, self.rate_hz, self.depth_unit_m)


class JointTable(Table):
    """A motor and the joint that it turns; angles in rad."""

    id: int = Field(ge=0, le=252)
    model: str
    """As ROBOTIS spells it, e.g. `XL430-W250`."""
    low: float
    """Lower end of its range; goals are clipped to the range."""
    high: float
    registers: dict[str, int] = Field(default_factory=dict)
    """Control-table registers that are set before torque is enabled, e.g. `{ position_p_gain = 1500 }`."""

    @model_validator(mode="after")
    def _is_a_motor(self) -> Self:
        self.uncalibrated()
        try:
            for register, value in self.registers.items():
                load_table(self.model).register(register).encode(value)
        except HardwareError as error:
            raise ValueError(str(error)) from error
        return self

    def uncalibrated(self) -> JointCalibration:
        """Zero at 2048 ticks, sign +1: exact on the twin, an initial guess on real arms."""
        return JointCalibration(id=self.id, model=self.model, low=self.low, high=self.high)


class FollowerJoint(JointTable):
    """A joint of a follower."""

    home: float = 0.0
    """Start pose of an episode."""
    park: float = 0.0
    """Where torque is released; the arm must rest there unsupported."""
    velocity_rad_s: PositiveFloat | None = None
    """Overrides the bench's."""
    tracking_rad: PositiveFloat | None = None
    """Overrides the bench's; `inf` for a gripper, which is meant to be stopped by what it holds."""

    @model_validator(mode="after")
    def _poses_inside(self) -> Self:
        for name, value in (("home", self.home), ("park", self.park)):
            if not self.low <= value <= self.high:
                raise ValueError(f"{name} = {value} lies outside {self.low} to {self.high}")
        return self


class LeaderJoint(JointTable):
    """A joint of a leader."""

    map: Literal["angle", "range"] = "angle"
    """`range` maps its range linearly to the follower's, for grippers and triggers."""


class SafetyTable(Table):
    """The supervisor's limits; docs/safety.md explains how each number was chosen."""

    velocity_rad_s: PositiveFloat = 3.0
    """Largest speed of any joint's goal."""
    tracking_rad: PositiveFloat = 0.4
    tracking_s: PositiveFloat = 0.5
    """The bench stops when a joint is further than `tracking_rad` from its goal for longer than this."""
    range_margin_rad: PositiveFloat = 0.2
    """Torque is refused when a joint is further than this outside its range."""
    stale_ticks: PositiveInt = 3
    """Consecutive reads that a motor may miss."""
    warm_c: PositiveFloat = 60.0
    hot_c: PositiveFloat = 68.0
    """Motor temperatures that raise a warning, and that stop the bench."""
    watchdog_s: PositiveFloat = Field(default=0.5, le=2.54, ge=0.02)  # control table address 98: 1-127 times 20 ms
    """Motors stop by themselves after this time without a packet."""
    move_rad_s: PositiveFloat = 1.0
    """Speed of the bench's own motions: home, park, engage."""
    arrived_rad: PositiveFloat = 0.1
    """Distance at which a pose counts as reached; printed arms sag."""
    time_limit_s: PositiveFloat = 15.0
    """For any one motion."""


def limits(safety: SafetyTable, tables: Mapping[str, Mapping[str, FollowerJoint]], arms: Mapping[str, Arm]) -> Limits:
    """All followers' limits, concatenated; the tighter of bench file and calibration.

    Raises:
        ConfigError: a pose lies outside the range that both allow.
    """
    rows = [
        (table, arms[arm].calibration.joints[name]) for arm, joints in tables.items() for name, table in joints.items()
    ]
    low = np.array([max(table.low, joint.low) for table, joint in rows], np.float32)
    high = np.array([min(table.high, joint.high) for table, joint in rows], np.float32)
    names = joint_names(list(arms.values()))
    for j, (table, _) in enumerate(rows):
        for pose in (table.home, table.park):
            if not low[j] - 1e-6 <= pose <= high[j] + 1e-6:
                raise ConfigError(
                    f"{names[j]}: a pose of {pose:.2f} rad lies outside {low[j]:.2f} to {high[j]:.2f}, the range that"
                    " bench file and calibration both allow",
                    hint="move home or park in the bench file, or calibrate again",
                )
    velocity = [table.velocity_rad_s or safety.velocity_rad_s for table, _ in rows]
    tracking = [table.tracking_rad or safety.tracking_rad for table, _ in rows]
    return Limits(
        low,
        high,
        np.array(velocity, np.float32),
        np.array(tracking, np.float32),
        safety.tracking_s,
        safety.range_margin_rad,
        safety.stale_ticks,
        safety.warm_c,
        safety.hot_c,
    )


def motion(safety: SafetyTable, tables: Mapping[str, Mapping[str, FollowerJoint]]) -> Motion:
    """All followers' home and park poses, concatenated, and the parameters of motions to them."""
    joints = [table for arm in tables.values() for table in arm.values()]
    return Motion(
        _row([joint.home for joint in joints]),
        _row([joint.park for joint in joints]),
        safety.move_rad_s,
        safety.arrived_rad,
        safety.time_limit_s,
        safety.watchdog_s,
    )


def uncalibrated(joints: Mapping[str, JointTable]) -> Calibration:
    """The calibration given by the bench file's values alone."""
    return Calibration({name: joint.uncalibrated() for name, joint in joints.items()})


def registers(joints: Mapping[str, JointTable]) -> dict[str, Mapping[str, int]]:
    """Registers to set before torque is enabled, by joint."""
    return {name: joint.registers for name, joint in joints.items() if joint.registers}


def _row(values: list[float]) -> Joints:
    return np.array(values, np.float32)
