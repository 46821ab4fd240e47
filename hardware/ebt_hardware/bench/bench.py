"""The bench: one or two arms, cameras and a clock, in radians and seconds, with torque only inside `with`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from shlex import quote
from types import TracebackType
from typing import Any, Self

import numpy as np

from ebt_data.errors import HardwareError, TaskFailed
from ebt_data.step import BenchSpec, Event, Joints, MotorReading, Observation
from ebt_hardware.bench.followers import Followers
from ebt_hardware.bench.rig import Motion, Rig
from ebt_hardware.device import Scene
from ebt_hardware.motors.arm import ArmState
from ebt_hardware.motors.bus_errors import MotorSilent
from ebt_hardware.motors.health import MotorHealth
from ebt_hardware.safety.supervisor import Limits, MotorFault, Supervisor, ramp

HEALTH_EVERY_S = 0.25  # one motor in turn, one short packet, so that no tick takes long
SETTLE_S = 0.3  # after home: the arm stops swinging and every camera has a frame of the new scene
# Exits from `with` that are no fault: the arm parks. A second Ctrl-C while it parks releases it.
PARKING_EXITS = (KeyboardInterrupt, GeneratorExit, SystemExit, TaskFailed)


@dataclass(frozen=True)
class SentAction:
    """The action that `act` sent."""

    action: Joints
    """[J] rad, after limits, rounded to whole motor ticks."""
    time_s: float
    events: tuple[Event, ...]


class Bench:
    """Reads all devices once per tick and keeps every command inside the limits.

    Torque is enabled when `with` is entered, at the arm's current pose. Leaving it without a fault parks the arm and
    cuts the torque; leaving it on an error holds the last pose with torque on. See docs/safety.md.
    """

    def __init__(self, spec: BenchSpec, rig: Rig, limits: Limits, motion: Motion, reference: str = "") -> None:
        """`reference`: the value of `--bench`, for hints; the bench's name if omitted."""
        self.spec = spec
        self.rig = rig
        self.motion = motion
        self.limits = limits
        self.health: dict[str, MotorHealth] = {}
        """The latest motor status by joint; one is read every quarter second."""
        self._motors: list[MotorReading] = []
        self.hold_reason = ""
        """Why the bench holds; empty while it does not."""
        self._followers = Followers(rig.followers)
        self._clock = rig.clock
        self._supervisor = Supervisor(self._followers.joints, limits, 1 / spec.rate_hz)
        self._pending: list[Event] = []
        self._packet_s = 0.0
        self._health_s = 0.0
        self._health_turn = cycle(range(len(self._followers.joints)))
        self._released = False
        self._release_hint = _release_hint(spec, reference or spec.name)

    @property
    def scene(self) -> Scene | None:
        """Operations of the twin only; None on real arms."""
        return self.rig.scene

    @property
    def calibration(self) -> dict[str, Any]:
        """Every arm's calibration, for the episode file."""
        return {arm.name: arm.calibration.snapshot() for arm in self.rig.followers}

    def reset(self, seed: int | None = None) -> Observation:
        """Move home, reset the scene where there is one, restart the clock, and observe.

        Raises:
            HardwareError: a joint did not reach home in time; the message names it.
        """
        with self._hold_on_error():
            self._resync_goal()
            self._move(self.motion.home, "home")
            if self.scene is not None and seed is not None:
                self.scene.reset(seed)
            for _ in range(max(2, round(SETTLE_S * self.spec.rate_hz))):
                self._step(self.motion.home)
            self._start_clock()
        return self.observe()

    def engage(self, target: Joints) -> None:
        """Move to `target` [J] rad smoothly from the arm's current pose.

        Raises:
            HardwareError: a joint did not reach it in time; the message names it.
        """
        with self._hold_on_error():
            self._resync_goal()
            self._move(target, "the target")

    def observe(self) -> Observation:
        """Read every motor and camera once.

        Raises:
            HardwareError: the supervisor stopped the bench, a bus or a camera is lost; the arm holds.
        """
        time_s = self._clock.now()
        with self._hold_on_error():
            state = self._read()
            frames = {name: camera.latest(time_s) for name, camera in self.rig.cameras.items()}
        privileged = self.scene.privileged() if self.scene is not None else {}
        motors = tuple(self._motors)
        self._motors.clear()
        return Observation(
            time_s, self._packet_s, state.position, state.velocity, state.effort, frames, privileged, motors
        )

    def act(self, action: Joints) -> SentAction:
        """Send `action` [J] rad as far as the limits allow; return the sent action and its events.

        Raises:
            HardwareError: the action is not finite, the bus is lost, or the bench already holds.
        """
        with self._hold_on_error():
            goal, limited = self._supervisor.limit(action, self._clock.now())
            sent = self._followers.send(goal)
            self._supervisor.note_sent(goal)
        events = (*self._pending, *limited)
        self._pending.clear()
        return SentAction(sent, self._clock.now(), events)

    def wait(self) -> int:
        """Return at the next tick, with how many were skipped."""
        return self._clock.wait()

    def succeeded(self) -> bool | None:
        """Whether the task is done; None where only the operator can judge."""
        return None if self.scene is None else self.scene.succeeded()

    def release(self) -> None:
        """Cut the torque now, in any pose, as the operator requested. No command follows."""
        self._released = True
        self._followers.set_torque(False)
        self._followers.arm_watchdog(None)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self.rig.closers)
            self._followers.connect()
            state = self._followers.read()
            if state.alert.any():
                raise MotorFault(
                    f"torque stays off: {self._followers.explain(state.alert)}", hint="power-cycle the arm; ebt doctor"
                )
            self._supervisor.check_range(state.position)
            self._set_goal_to_position(state.position)
            try:
                self._followers.set_torque(True)
                self._set_goal_to_position(state.position)  # a motor may set a goal of its own when torque is enabled
                self._followers.arm_watchdog(self.motion.watchdog_s)
            except HardwareError as error:
                error.add_note(f"{self.spec.name}: some motors may still have torque on; {self._release_hint}")
                raise
            self._start_clock()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.rig.closers:
            if self._released:
                return
            if error is not None and not isinstance(error, PARKING_EXITS):
                self._hold(str(error) or type(error).__name__)
                if self._release_hint not in getattr(error, "hint", ""):
                    error.add_note(f"{self.spec.name}: {self._release_hint}")
            elif not self.hold_reason:
                self._park()
            elif error is None:
                raise HardwareError(f"the bench still holds since: {self.hold_reason}", hint=self._release_hint)

    def _park(self) -> None:
        """Ramp to the park pose, then cut the torque. A Ctrl-C meanwhile cuts it at once."""
        try:
            with self._hold_on_error():
                self._resync_goal()
                self._move(self.motion.park, "its park pose")
                self._followers.set_torque(False)
                self._followers.arm_watchdog(None)
        except KeyboardInterrupt:
            self.release()
            raise

    def _hold(self, reason: str) -> None:
        """Hold the pose with the parts that still work. Never raises: it runs while another error is being raised."""
        if self.hold_reason:
            return
        self.hold_reason = reason
        with suppress(HardwareError):
            # A constant goal needs no packets, and no manual states that a tripped watchdog keeps torque on.
            self._followers.arm_watchdog(None)
        with suppress(HardwareError):
            position = self._followers.read().position
            self._supervisor.note_sent(self._followers.send(self._supervisor.hold_goal(position)))

    @contextmanager
    def _hold_on_error(self) -> Iterator[None]:
        if self.hold_reason:
            raise HardwareError(f"the bench holds since: {self.hold_reason}", hint=self._release_hint)
        try:
            yield
        except HardwareError as error:
            self._hold(str(error))
            if self._release_hint not in error.hint:
                error.hint = "; ".join(part for part in (error.hint, self._release_hint) if part)
            raise

    def _read(self) -> ArmState:
        """One supervised read."""
        self._recover_from_gap()
        state = self._followers.read()
        now_s = self._packet_s = self._clock.now()
        if state.alert.any():
            raise MotorFault(self._followers.explain(state.alert))
        self._pending += self._supervisor.check(state, now_s)
        if now_s - self._health_s >= HEALTH_EVERY_S:
            self._health_s = now_s
            self._check_motor(next(self._health_turn), now_s)
        return state

    def _check_motor(self, place: int, now_s: float) -> None:
        """Check the status of one motor."""
        joint = self._followers.joints[place]
        try:
            health = self.health[joint] = self._followers.health(place)
        except MotorSilent:
            return  # the next reads count how often; see Limits.stale_ticks
        self._motors.append(MotorReading(place, health.temperature_c, health.voltage_v, health.error_bits))
        if health.errors:
            raise MotorFault(f"{joint}: {', '.join(health.errors)}")
        if not health.torque:
            raise MotorFault(
                f"{joint} lost its torque: a power dip, or the motor shut itself down",
                hint="support the arm, check the supply, then start again; torque is never enabled again automatically",
            )
        self._pending += self._supervisor.check_temperature(joint, health.temperature_c, now_s)
        if health.watchdog_tripped:
            self._rearm_watchdog("a motor's watchdog had stopped it")

    def _recover_from_gap(self) -> None:
        """After a gap in packets the motors have stopped and ignore goals: re-arm them, continue from their pose."""
        silent_s = self._clock.now() - self._packet_s
        if self.motion.watchdog_s is not None and silent_s >= self.motion.watchdog_s:
            self._rearm_watchdog(f"nothing was sent for {silent_s:.1f} s")

    def _rearm_watchdog(self, reason: str) -> None:
        self._followers.arm_watchdog(self.motion.watchdog_s)
        self._set_goal_to_position(self._followers.read().position)
        self._pending.append(Event("gap", f"{reason}; the watchdog was re-armed"))

    def _set_goal_to_position(self, position: Joints) -> None:
        """Set goals to the present position, so that nothing jumps."""
        self._followers.send(position)
        self._supervisor.note_sent(position)

    def _resync_goal(self) -> None:
        """Replace goals that the arm is far from by its position."""
        position = self._read().position
        self._supervisor.note_sent(self._supervisor.hold_goal(position))
        self._supervisor.restart()

    def _move(self, target: Joints, name: str) -> None:
        """Ramp to `target` [J] and wait until the arm reaches it."""
        motion = self.motion
        deadline_s = self._clock.now() + motion.time_limit_s
        for goal in ramp(self._supervisor.sent, target, motion.speed_rad_s, 1 / self.spec.rate_hz):
            self._step(goal)
        grippers = np.isinf(self.limits.tracking_rad)  # may be stopped by what they hold
        while True:
            error_rad = np.abs(self._step(target) - target)
            if not (error_rad[~grippers] > motion.arrived_rad).any():
                return
            if self._clock.now() > deadline_s:
                late = np.flatnonzero((error_rad > motion.arrived_rad) & ~grippers)
                raise HardwareError(
                    f"not at {name} after {motion.time_limit_s:g} s: "
                    + ", ".join(f"{self.spec.joints[j]} is {error_rad[j]:.2f} rad away" for j in late),
                    hint="look for what blocks it",
                )

    def _step(self, goal: Joints) -> Joints:
        """One tick of the bench's own motions; return the position [J] before it."""
        position = self._read().position
        inside, _ = self._supervisor.limit(goal, self._clock.now())
        self._followers.send(inside)
        self._supervisor.note_sent(inside)
        self._clock.wait()
        return position

    def _start_clock(self) -> None:
        self._clock.start()
        self._packet_s = 0.0
        self._health_s = 0.0
        self._pending.clear()
        self._supervisor.restart()


def _release_hint(spec: BenchSpec, reference: str) -> str:
    if spec.sim:
        return "the twin's arm needs no release: the next session starts a new twin"
    command = f"`ebt doctor --release {quote(reference)}`"
    return f"the arm holds its pose with torque on; support it, then release it with {command}"
