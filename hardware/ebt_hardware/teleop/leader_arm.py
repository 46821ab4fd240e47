"""Teleoperation with a leader arm: the operator moves it by hand, the follower mirrors it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ebt_data.agent import Agent
from ebt_data.errors import HardwareError
from ebt_data.step import Actor, Decision, Event, Joints, Observation
from ebt_hardware.device import Scene
from ebt_hardware.motors.arm import Arm

MARGIN_RAD = 0.2  # how far outside its calibrated range a leader joint may be


@dataclass(frozen=True)
class LeaderPair:
    """A leader arm and its follower; both have the same joint names."""

    leader: Arm
    follower: Arm
    range_mapped: tuple[str, ...] = ("gripper",)
    """Joints whose range is mapped linearly to the follower's; all others map angle to angle."""


class LeaderArm:
    """An `Agent` that sends the leader's pose, in follower joints. The leader's torque is off: it moves by hand.

    Engages smoothly: after `reset` the follower ramps to the leader's pose, and only then mirrors it directly.

    Raises:
        HardwareError: a leader's motor does not respond, or a joint is far outside its range.
    """

    def __init__(self, pairs: Sequence[LeaderPair], speed_rad_s: float) -> None:
        self._pairs = pairs
        self._speed_rad_s = speed_rad_s
        self._maps = [_JointMap(pair) for pair in pairs]
        self._goal: Joints | None = None
        self._time_s = 0.0
        self.engaged = False
        """True once the follower has reached the leader's pose."""
        for pair in pairs:
            pair.leader.connect()
            pair.leader.bus.set_torque(False)
        self._check_range()

    def reset(self, observation: Observation) -> None:
        """Start at the follower's pose."""
        self._goal = observation.position
        self._time_s = observation.time_s
        self.engaged = False

    def decide(self, observation: Observation) -> Decision:
        """The leader's pose; a ramp towards it while engaging."""
        target = self._read()
        if self.engaged:
            return Decision(target, Actor.HUMAN)
        start = observation.position if self._goal is None else self._goal
        max_step = self._speed_rad_s * max(0.0, observation.time_s - self._time_s)
        self._time_s = observation.time_s
        self._goal = (start + np.clip(target - start, -max_step, max_step)).astype(np.float32)
        self.engaged = bool(np.abs(target - self._goal).max() < 1e-3)
        events = (Event("engage", "the follower has reached the leader's pose"),) if self.engaged else ()
        return Decision(self._goal, Actor.HUMAN, events=events)

    def _read(self) -> Joints:
        mapped = zip(self._pairs, self._maps, strict=True)
        return np.concatenate([joints.to_follower(pair.leader.read().position) for pair, joints in mapped])

    def _check_range(self) -> None:
        far = []
        for pair in self._pairs:
            position, calibration = pair.leader.read().position, pair.leader.calibration
            outside = (position < calibration.low - MARGIN_RAD) | (position > calibration.high + MARGIN_RAD)
            far += [
                f"{pair.leader.name}'s {pair.leader.joints[j]} is at {position[j]:.2f} rad, calibrated for"
                f" {calibration.low[j]:.2f} to {calibration.high[j]:.2f}"
                for j in np.flatnonzero(outside)
            ]
        if far:
            raise HardwareError(
                "; ".join(far),
                hint="move the leader into its range by hand; if it is, calibrate again: docs/safety.md, Calibration",
            )


class ScriptedLeader:
    """An `Agent` for the twin's scripted operator: starts at `reset`, done when the operator releases the leader."""

    def __init__(self, leader: Agent, scene: Scene) -> None:
        self._leader = leader
        self._scene = scene

    def reset(self, observation: Observation) -> None:
        """Start the scripted operator."""
        self._leader.reset(observation)
        self._scene.demonstrate()

    def decide(self, observation: Observation) -> Decision:
        """The leader arm's pose."""
        return replace(self._leader.decide(observation), done=not self._scene.demonstrating())


class _JointMap:
    """Maps leader joints to follower joints, by name."""

    def __init__(self, pair: LeaderPair) -> None:
        leader, follower = pair.leader, pair.follower
        self._order = np.array([leader.joints.index(joint) for joint in follower.joints])
        ranged = np.array([joint in pair.range_mapped for joint in follower.joints])
        low, high = leader.calibration.low[self._order], leader.calibration.high[self._order]
        to_low, to_high = follower.calibration.low, follower.calibration.high
        self._scale = np.where(ranged, (to_high - to_low) / (high - low), 1.0)
        self._offset = np.where(ranged, to_low - low * self._scale, 0.0)

    def to_follower(self, position: Joints) -> Joints:
        """[J] rad in the follower's order."""
        joints: Joints = (position[self._order] * self._scale + self._offset).astype(np.float32)
        return joints
