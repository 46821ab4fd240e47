"""Teleoperation with a leader arm: the operator moves it by hand, the follower follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ebt_data.agent import Agent
from ebt_data.errors import HardwareError
from ebt_data.step import Actor, Decision, Event, Joints, Observation
from ebt_hardware.device import Scene
from ebt_hardware.motors.arm import Arm

MARGIN_RAD = 0.2  # how far outside its calibrated range a leader joint may stand


@dataclass(frozen=True)
class Lead:
    """A leader arm and the follower it leads; both name their joints alike."""

    leader: Arm
    follower: Arm
    by_range: tuple[str, ...] = ("gripper",)
    """Joints whose range is stretched over the follower's; all others go angle by angle."""


class LeaderArm:
    """An `Agent`: what the leader shows, in the follower's joints. The leader's torque is off, so that a hand moves it.

    Engages smoothly: after `reset` the follower is walked to where the leader is, and only then follows it directly.

    Raises:
        HardwareError: a leader's motor is silent, or a joint is far outside its range.
    """

    def __init__(self, leads: Sequence[Lead], speed_rad_s: float) -> None:
        self._leads = leads
        self._speed_rad_s = speed_rad_s
        self._maps = [_Map(lead) for lead in leads]
        self._goal: Joints | None = None
        self._time_s = 0.0
        self.engaged = False
        """True once the follower has caught up with the leader."""
        for lead in leads:
            lead.leader.connect()
            lead.leader.bus.set_torque(False)
        self._refuse_far()

    def reset(self, observation: Observation) -> None:
        """Begin at the follower's pose."""
        self._goal = observation.position
        self._time_s = observation.time_s
        self.engaged = False

    def decide(self, observation: Observation) -> Decision:
        """Where the leader is; on the way there while engaging."""
        shown = self._read()
        if self.engaged:
            return Decision(shown, Actor.HUMAN)
        start = observation.position if self._goal is None else self._goal
        reach = self._speed_rad_s * max(0.0, observation.time_s - self._time_s)
        self._time_s = observation.time_s
        self._goal = (start + np.clip(shown - start, -reach, reach)).astype(np.float32)
        self.engaged = bool(np.abs(shown - self._goal).max() < 1e-3)
        events = (Event("engage", "the follower has met the leader"),) if self.engaged else ()
        return Decision(self._goal, Actor.HUMAN, events=events)

    def _read(self) -> Joints:
        return np.concatenate([each.to_follower(lead.leader.read().position) for lead, each in self._pairs()])

    def _pairs(self) -> list[tuple[Lead, "_Map"]]:
        return list(zip(self._leads, self._maps, strict=True))

    def _refuse_far(self) -> None:
        far = []
        for lead in self._leads:
            position, calibration = lead.leader.read().position, lead.leader.calibration
            outside = (position < calibration.low - MARGIN_RAD) | (position > calibration.high + MARGIN_RAD)
            far += [
                f"{lead.leader.name}'s {lead.leader.joints[j]} is at {position[j]:.2f} rad, calibrated for"
                f" {calibration.low[j]:.2f} to {calibration.high[j]:.2f}"
                for j in np.flatnonzero(outside)
            ]
        if far:
            raise HardwareError(
                "; ".join(far),
                hint="move the leader into its range by hand; if it is, calibrate again: docs/safety.md, Calibration",
            )


class Demonstrated:
    """An `Agent` whose arm the twin's scripted operator moves: starts at `reset`, done when the operator lets go."""

    def __init__(self, leader: Agent, scene: Scene) -> None:
        self._leader = leader
        self._scene = scene

    def reset(self, observation: Observation) -> None:
        """Start the operator."""
        self._leader.reset(observation)
        self._scene.demonstrate()

    def decide(self, observation: Observation) -> Decision:
        """What the leader arm shows."""
        return replace(self._leader.decide(observation), done=not self._scene.demonstrating())


class _Map:
    """Leader joints to follower joints, by name."""

    def __init__(self, lead: Lead) -> None:
        leader, follower = lead.leader, lead.follower
        self._order = np.array([leader.joints.index(joint) for joint in follower.joints])
        ranged = np.array([joint in lead.by_range for joint in follower.joints])
        low, high = leader.calibration.low[self._order], leader.calibration.high[self._order]
        to_low, to_high = follower.calibration.low, follower.calibration.high
        self._scale = np.where(ranged, (to_high - to_low) / (high - low), 1.0)
        self._offset = np.where(ranged, to_low - low * self._scale, 0.0)

    def to_follower(self, position: Joints) -> Joints:
        """[J] rad in the follower's order."""
        joints: Joints = (position[self._order] * self._scale + self._offset).astype(np.float32)
        return joints
