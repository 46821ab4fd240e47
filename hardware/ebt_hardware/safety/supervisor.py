"""The supervisor: limits on actions and conditions to stop, independent of the agent and of devices."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import HardwareError
from ebt_data.step import Event, Joints
from ebt_hardware.motors.arm import ArmState

EVENT_INTERVAL_S = 1.0  # an ongoing event is repeated at this interval, so that it cannot flood a file
MIN_CLIP_RAD = 0.01  # a smaller clip causes no event


class UnsafeAction(HardwareError):
    """An action that is not one finite angle per joint."""


class OutOfRange(HardwareError):
    """A joint is too far outside its calibrated range to enable torque."""


class TrackingLost(HardwareError):
    """A joint did not reach its goal."""


class ReadsMissed(HardwareError):
    """A motor did not answer several times in a row."""


class MotorFault(HardwareError):
    """A motor reports a hardware error, lost its torque, or is too hot."""


@dataclass(frozen=True)
class Limits:
    """Every limit of the supervisor; arrays are [J] in the bench's joint order."""

    low: Joints
    high: Joints
    """Rad; goals stay between `low` and `high`."""
    velocity_rad_s: Joints
    tracking_rad: Joints
    """How far a joint may be from its goal; infinite for grippers, which are meant to be stopped by what they hold."""
    tracking_s: float = 0.5
    """How long it may exceed `tracking_rad`."""
    range_margin_rad: float = 0.2
    """How far outside `low`..`high` a joint may be when torque is enabled."""
    stale_ticks: int = 3
    """Consecutive reads that a motor may miss."""
    warm_c: float = 60.0
    """Causes an event; X-series motors shut down at 70 to 80 C and drop the arm (Temperature Limit, register 31)."""
    hot_c: float = 68.0
    """Stops the bench while the motor can still hold."""


class Supervisor:
    """Keeps every goal near the last one sent, and stops the bench when the arm does not follow."""

    def __init__(self, joints: tuple[str, ...], limits: Limits, period_s: float) -> None:
        self.limits = limits
        self._joints = joints
        self._step_rad = (limits.velocity_rad_s * period_s).astype(np.float32)
        self._sent = np.zeros(len(joints), np.float32)
        self.restart()

    @property
    def sent(self) -> Joints:
        """[J] the last goal sent to the motors."""
        return self._sent

    def restart(self) -> None:
        """Reset all counters: the clock was started, or a motion ended."""
        self._off_goal_since_s = np.full(len(self._joints), np.nan)
        self._missed_reads = np.zeros(len(self._joints), np.int64)
        self._reported_s: dict[str, float] = {}

    def note_sent(self, goal: Joints) -> None:
        """Record that `goal` [J] was sent to the motors."""
        self._sent = goal

    def limit(self, requested: Joints, now_s: float) -> tuple[Joints, tuple[Event, ...]]:
        """The goal nearest to `requested` [J] that the limits allow now.

        Raises:
            UnsafeAction: wrong shape, or not finite.
        """
        if requested.shape != self._sent.shape or not np.isfinite(requested).all():
            raise UnsafeAction(
                f"an action must be {len(self._joints)} finite joint angles in rad, got {np.array2string(requested)}"
            )
        # Around the last goal, not the measured position: a sagging arm must still be held where it was sent.
        inside = np.clip(requested, self.limits.low, self.limits.high)
        goal = np.clip(inside, self._sent - self._step_rad, self._sent + self._step_rad).astype(np.float32)
        clipped = np.flatnonzero(np.abs(goal - requested) > MIN_CLIP_RAD)
        if not clipped.size or not self._due("limit", now_s):
            return goal, ()
        text = ", ".join(f"{self._joints[j]} requested {requested[j]:.3f}, sent {goal[j]:.3f} rad" for j in clipped)
        return goal, (Event("limit", text),)

    def hold_goal(self, position: Joints) -> Joints:
        """[J] goal to hold after a fault: the last goal, but the present position of joints that are blocked."""
        off_goal = np.abs(position - self._sent) > self.limits.tracking_rad
        return np.where(off_goal, position, self._sent).astype(np.float32)

    def check_range(self, position: Joints) -> None:
        """Raise OutOfRange, naming every joint that is too far outside its calibrated range."""
        margin = self.limits.range_margin_rad
        far = (position < self.limits.low - margin) | (position > self.limits.high + margin)
        if far.any():
            raise OutOfRange(
                "torque stays off: "
                + ", ".join(
                    f"{self._joints[j]} is at {position[j]:.2f} rad, calibrated for"
                    f" {self.limits.low[j]:.2f} to {self.limits.high[j]:.2f}"
                    for j in np.flatnonzero(far)
                ),
                hint="move the arm into its range by hand; if it already is inside, calibrate again:"
                " docs/safety.md, Calibration",
            )

    def check(self, state: ArmState, now_s: float) -> tuple[Event, ...]:
        """Check one read of all joints.

        Raises:
            ReadsMissed: a motor missed more than `stale_ticks` reads in a row.
            TrackingLost: a joint was too far from its goal for too long.
        """
        events = self._check_fresh(state.fresh, now_s)
        self._check_tracking(state, now_s)
        return events

    def check_temperature(self, joint: str, temperature_c: float, now_s: float) -> tuple[Event, ...]:
        """Return an event when a motor is warm; raise while it can still hold.

        Raises:
            MotorFault: it is hotter than `hot_c`.
        """
        text = f"{joint} is at {temperature_c:.0f} C"
        if temperature_c >= self.limits.hot_c:
            raise MotorFault(f"{text}; the bench stops at {self.limits.hot_c:.0f} C")
        if temperature_c >= self.limits.warm_c and self._due(f"warm {joint}", now_s):
            return (Event("warm", text),)
        return ()

    def _check_fresh(self, fresh: NDArray[np.bool_], now_s: float) -> tuple[Event, ...]:
        self._missed_reads = np.where(fresh, 0, self._missed_reads + 1)
        lost = np.flatnonzero(self._missed_reads > self.limits.stale_ticks)
        if lost.size:
            names = ", ".join(self._joints[j] for j in lost)
            raise ReadsMissed(
                f"{names} missed {self._missed_reads[lost].max()} reads in a row",
                hint="check the cable into the first of them",
            )
        missing = np.flatnonzero(self._missed_reads)
        if not missing.size or not self._due("stale", now_s):
            return ()
        return (Event("stale", f"no answer from {', '.join(self._joints[j] for j in missing)}"),)

    def _check_tracking(self, state: ArmState, now_s: float) -> None:
        error = np.abs(state.position - self._sent)
        off_goal = (error > self.limits.tracking_rad) & state.fresh
        since_s = np.where(np.isnan(self._off_goal_since_s), now_s, self._off_goal_since_s)
        self._off_goal_since_s = np.where(off_goal, since_s, np.nan)
        late = np.flatnonzero(now_s - self._off_goal_since_s > self.limits.tracking_s)
        if late.size:
            raise TrackingLost(
                ", ".join(
                    f"{self._joints[j]} was sent to {self._sent[j]:.2f} rad and is at {state.position[j]:.2f}"
                    for j in late
                )
                + f" for more than {self.limits.tracking_s:g} s",
                hint="look for what blocks it",
            )

    def _due(self, kind: str, now_s: float) -> bool:
        if now_s - self._reported_s.get(kind, -np.inf) < EVENT_INTERVAL_S:
            return False
        self._reported_s[kind] = now_s
        return True


def ramp(start: Joints, target: Joints, speed_rad_s: float, period_s: float) -> Iterator[Joints]:
    """Goals [J], one per tick, from `start` to `target`: all joints arrive together, none faster than `speed_rad_s`."""
    distance = float(np.abs(target - start).max())
    duration_s = distance * np.pi / 2 / speed_rad_s  # a raised cosine peaks at pi/2 of its mean speed
    ticks = max(1, int(np.ceil(duration_s / period_s)))
    for tick in range(1, ticks + 1):
        fraction = (1 - np.cos(np.pi * tick / ticks)) / 2
        yield (start + fraction * (target - start)).astype(np.float32)
