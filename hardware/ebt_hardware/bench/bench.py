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

HEALTH_EVERY_S = 0.25  # one motor in turn, one short packet, so that no tick gets long
SETTLE_S = 0.3  # after home: the arm stops swinging and every camera has a frame of the new scene
# Ways out of `with` that are no trouble: the arm parks. A second Ctrl-C while it does releases it.
CALM = (KeyboardInterrupt, GeneratorExit, SystemExit, TaskFailed)


@dataclass(frozen=True)
class Sent:
    """What `act` did."""

    action: Joints
    """[J] rad, after limits, as whole motor ticks make it."""
    time_s: float
    events: tuple[Event, ...]


class Bench:
    """Reads everything once a tick and keeps every command inside the limits.

    Torque is enabled when `with` is entered, at the arm's current pose. Leaving it without a fault parks the arm and lets
    it go; leaving it on an error holds the last pose with torque on. See docs/safety.md.
    """

    def __init__(self, spec: BenchSpec, rig: Rig, limits: Limits, motion: Motion, reference: str = "") -> None:
        """`reference`: what `--bench` was given, for hints; the bench's name if omitted."""
        self.spec = spec
        self.rig = rig
        self.motion = motion
        self.limits = limits
        self.health: dict[str, MotorHealth] = {}
        """The latest motor status by joint; one is read every quarter second."""
        self._motors: list[MotorReading] = []
        self.held = ""
        """Why the bench holds; empty while it doesn't."""
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
        """What only a twin can do; None on real arms."""
        return self.rig.scene

    @property
    def calibration(self) -> dict[str, Any]:
        """Every arm's calibration, for the episode file."""
        return {arm.name: arm.calibration.snapshot() for arm in self.rig.followers}

    def reset(self, seed: int | None = None) -> Observation:
        """Move home, reset the scene where there is one, restart the clock, and observe.

        Raises:
            HardwareError: a joint did not get home in time; the message names it.
        """
        with self._holding_on_trouble():
            self._rematch()
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
            HardwareError: a joint did not get there in time; the message names it.
        """
        with self._holding_on_trouble():
            self._rematch()
            self._move(target, "the target")

    def observe(self) -> Observation:
        """Read every motor and camera once.

        Raises:
            HardwareError: the supervisor stopped the bench, a bus or a camera is lost; the arm holds.
        """
        time_s = self._clock.now()
        with self._holding_on_trouble():
            state = self._read()
            frames = {name: camera.latest(time_s) for name, camera in self.rig.cameras.items()}
        privileged = self.scene.privileged() if self.scene is not None else {}
        motors = tuple(self._motors)
        self._motors.clear()
        return Observation(
            time_s, self._packet_s, state.position, state.velocity, state.effort, frames, privileged, motors
        )

    def act(self, action: Joints) -> Sent:
        """Send `action` [J] rad as far as the limits allow; return the sent action and its events.

        Raises:
            HardwareError: the action is not finite, the bus is lost, or the bench already holds.
        """
        with self._holding_on_trouble():
            goal, limited = self._supervisor.limit(action, self._clock.now())
            sent = self._followers.send(goal)
            self._supervisor.note_sent(goal)
        events = (*self._pending, *limited)
        self._pending.clear()
        return Sent(sent, self._clock.now(), events)

    def wait(self) -> int:
        """Return at the next tick, with how many were skipped."""
        return self._clock.wait()

    def succeeded(self) -> bool | None:
        """Whether the task is done; None where only the operator can judge."""
        return None if self.scene is None else self.scene.succeeded()

    def release(self) -> None:
        """Cut the torque now, wherever the arm is: the operator's word. Nothing moves it afterwards."""
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
            self._supervisor.refuse_far(state.position)
            self._match(state.position)
            try:
                self._followers.set_torque(True)
                self._match(state.position)  # a motor may set a goal of its own when torque is enabled
                self._followers.arm_watchdog(self.motion.watchdog_s)
            except HardwareError as error:
                error.add_note(f"{self.spec.name}: some motors may hold; {self._release_hint}")
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
            if error is not None and not isinstance(error, CALM):
                self._hold(str(error) or type(error).__name__)
                if self._release_hint not in getattr(error, "hint", ""):
                    error.add_note(f"{self.spec.name}: {self._release_hint}")
            elif not self.held:
                self._park()
            elif error is None:
                raise HardwareError(f"the bench still holds since: {self.held}", hint=self._release_hint)

    def _park(self) -> None:
        """Ramp to the park pose, then let go. A Ctrl-C meanwhile lets go at once."""
        try:
            with self._holding_on_trouble():
                self._rematch()
                self._move(self.motion.park, "its park pose")
                self._followers.set_torque(False)
                self._followers.arm_watchdog(None)
        except KeyboardInterrupt:
            self.release()
            raise

    def _hold(self, reason: str) -> None:
        """Hold the pose with the parts that still work. Never raises: it runs while another error is being raised."""
        if self.held:
            return
        self.held = reason
        with suppress(HardwareError):
            # A constant goal needs no feeding, and no manual states that a tripped watchdog keeps torque on.
            self._followers.arm_watchdog(None)
        with suppress(HardwareError):
            position = self._followers.read().position
            self._supervisor.note_sent(self._followers.send(self._supervisor.hold_goal(position)))

    @contextmanager
    def _holding_on_trouble(self) -> Iterator[None]:
        if self.held:
            raise HardwareError(f"the bench holds since: {self.held}", hint=self._release_hint)
        try:
            yield
        except HardwareError as error:
            self._hold(str(error))
            if self._release_hint not in error.hint:
                error.hint = "; ".join(part for part in (error.hint, self._release_hint) if part)
            raise

    def _read(self) -> ArmState:
        """One supervised read."""
        self._revive_watchdog()
        state = self._followers.read()
        now_s = self._packet_s = self._clock.now()
        if state.alert.any():
            raise MotorFault(self._followers.explain(state.alert))
        self._pending += self._supervisor.check(state, now_s)
        if now_s - self._health_s >= HEALTH_EVERY_S:
            self._health_s = now_s
            self._look_at_motor(next(self._health_turn), now_s)
        return state

    def _look_at_motor(self, place: int, now_s: float) -> None:
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
        self._pending += self._supervisor.judge_temperature(joint, health.temperature_c, now_s)
        if health.watchdog_tripped:
            self._restart_watchdog("a motor's watchdog had stopped it")

    def _revive_watchdog(self) -> None:
        """After a gap in our packets the motors have stopped and ignore goals: clear that, and continue from their pose."""
        silent_s = self._clock.now() - self._packet_s
        if self.motion.watchdog_s is not None and silent_s >= self.motion.watchdog_s:
            self._restart_watchdog(f"nothing was sent for {silent_s:.1f} s")

    def _restart_watchdog(self, why: str) -> None:
        self._followers.arm_watchdog(self.motion.watchdog_s)
        self._match(self._followers.read().position)
        self._pending.append(Event("gap", f"{why}; the watchdog was re-armed"))

    def _match(self, position: Joints) -> None:
        """Goal := present, so that nothing jumps."""
        self._followers.send(position)
        self._supervisor.note_sent(position)

    def _rematch(self) -> None:
        """Give up goals that the arm is nowhere near."""
        position = self._read().position
        self._supervisor.note_sent(self._supervisor.hold_goal(position))
        self._supervisor.restart()

    def _move(self, target: Joints, where: str) -> None:
        """Ramp to `target` [J] and wait until the arm is there."""
        motion = self.motion
        deadline_s = self._clock.now() + motion.time_limit_s
        for goal in ramp(self._supervisor.sent, target, motion.speed_rad_s, 1 / self.spec.rate_hz):
            self._step(goal)
        grips = np.isinf(self.limits.tracking_rad)  # may be stopped by what it holds
        while True:
            away = np.abs(self._step(target) - target)
            if not (away[~grips] > motion.arrived_rad).any():
                return
            if self._clock.now() > deadline_s:
                late = np.flatnonzero((away > motion.arrived_rad) & ~grips)
                raise HardwareError(
                    f"not at {where} after {motion.time_limit_s:g} s: "
                    + ", ".join(f"{self.spec.joints[j]} is {away[j]:.2f} rad away" for j in late),
                    hint="look for what blocks it",
                )

    def _step(self, goal: Joints) -> Joints:
        """One tick of a move of our own; return the position [J] before it."""
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
        return "the twin's arm needs no help: the next session starts it anew"
    return f"the arm holds its pose with torque on; support it, then release it with `ebt doctor --release {quote(reference)}`"
