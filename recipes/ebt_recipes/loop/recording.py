"""Runs one episode, hands its steps to a recorder, and decides when and how it ends.

Command: NONE | SAVE | DISCARD | REDO | BACK | STOP | PAUSE | NOTE
Limits(max_seconds, hold_s=0.5)
Tick(episode, target, seed, step, success, ...)                          for the screen, at every tick
EpisodeResult(episode, seed, outcome, command, path, steps, seconds, attempts, why)  for the screen, after every episode
Hooks(on_tick, report, command, notes, on_saved, on_step)                all optional
record_episode(bench, agent, seed, limits, hooks, number, append) -> EpisodeResult
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ebt_data.agent import Agent
from ebt_data.errors import HardwareError
from ebt_data.step import PAUSE, Event, Outcome, Step
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.loop import run_episode
from ebt_recipes.loop.pausing import Pausable


class Command(StrEnum):
    """The operator's command for the current episode; read once a tick."""

    NONE = "none"
    SAVE = "save"  # end the episode, keep it as a success
    DISCARD = "discard"  # end it as a failure, continue with a new scene
    REDO = "redo"  # discard it and repeat the same scene
    BACK = "back"  # discard it and the previous one, and repeat the previous scene
    STOP = "stop"  # end the episode and the session
    PAUSE = "pause"  # hold the arm and record nothing; a second time: resume
    NOTE = "note"  # pause to write a note; if already paused, stay paused


@dataclass(frozen=True)
class Limits:
    """When an episode ends without a command."""

    max_seconds: float
    hold_s: float = 0.5
    """How long the task's success test must stay true."""


@dataclass(frozen=True)
class Tick:
    """What a screen needs to show the latest step."""

    episode: int
    """Number of the episode in this session, from 1."""
    target: int
    seed: int | None
    step: Step
    success: bool
    """Whether the success test is true at this step; always False on a real bench."""
    paused: bool = False
    """The arm is held, and only notes are recorded."""
    seconds: float = 0.0
    """Duration of the episode so far, without pauses."""
    limit_s: float = float("inf")
    """Time limit of the episode."""


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode ended."""

    episode: int
    seed: int | None
    outcome: Outcome
    command: Command
    """The operator's command, `none` if the episode ended without one."""
    path: Path | None
    """None if it was discarded."""
    steps: int
    seconds: float
    """Without pauses."""
    attempts: int
    """1 plus the retries."""
    why: str
    """`success held`, `agent done`, `agent gave up`, `time limit`, `operator`."""


class EpisodeFault(HardwareError):
    """A fault of the lock-step twin ended an episode: the policy drove an arm until a motor shut down."""

    def __init__(self, fault: HardwareError, result: EpisodeResult) -> None:
        super().__init__(str(fault), fault.hint)
        self.result = result
        """A failure; the recorder still has the episode open."""


def _nothing(_: object) -> None:
    return None


def _ignore() -> None:
    return None


def _no_command() -> Command:
    return Command.NONE


def _no_notes() -> tuple[Event, ...]:
    return ()


@dataclass(frozen=True)
class Hooks:
    """Callbacks into an episode."""

    on_tick: Callable[[Tick], None] = _nothing
    report: Callable[[EpisodeResult], None] = _nothing
    command: Callable[[], Command] = _no_command
    notes: Callable[[], tuple[Event, ...]] = _no_notes
    """Returns the marks and notes since the last tick; called after `command`."""
    on_saved: Callable[[], None] = _ignore
    """Called once every episode is on the disk; a long one is written some time after its report."""
    on_step: Callable[[Step], Event | None] = _nothing
    """Called before the step is recorded; the event it returns, such as a disturbance, is recorded with the step."""


def record_episode(
    bench: Bench,
    agent: Agent,
    seed: int | None,
    limits: Limits,
    hooks: Hooks,
    number: tuple[int, int],
    append: Callable[[Step], None],
) -> EpisodeResult:
    """Run one episode to its end and hand every step to `append`, usually `Recorder.append` after `Recorder.start`.

    `number` is the episode's number and the target. `Recorder.finish` or `Recorder.discard` comes next.

    Raises:
        EpisodeFault: a fault of the lock-step twin ended it.
        HardwareError: any other fault, and one before the first step.
    """
    pausable = Pausable(agent)
    episode = _Episode(bench, pausable, limits, hooks, number, seed)
    try:
        for step in run_episode(bench, pausable, seed):
            recorded = episode.add(step)
            if recorded is not None:
                append(recorded)
            if episode.ended():
                break
    except HardwareError as fault:
        if not bench.spec.lockstep or episode.steps == 0:
            raise
        raise EpisodeFault(fault, episode.failed(f"fault: {fault}")) from fault
    return episode.result()


class _Episode:
    """State of the current episode, and whether it has ended."""

    def __init__(
        self, bench: Bench, agent: Pausable, limits: Limits, hooks: Hooks, number: tuple[int, int], seed: int | None
    ) -> None:
        self.steps = 0
        """Number of recorded steps."""
        self._max_steps = round(limits.max_seconds * bench.spec.rate_hz)
        self._agent = agent
        self._paused_s: float | None = None  # time of the last recorded step before the current pause
        self._lost_s = 0.0  # total duration of the pauses
        self._pause_events: dict[str, Event] = {}  # first event of each kind in the pause, for the next recorded step
        self._scene = bench.scene
        self._limits = limits
        self._hooks = hooks
        self._number = number
        self._seed = seed
        self._held_s: float | None = None
        self._command = Command.NONE
        self._last: Step | None = None

    def add(self, step: Step) -> Step | None:
        """Call the hooks, and return the step with their events; None if it is not recorded."""
        disturbance = self._hooks.on_step(step)
        success = self._scene is not None and self._scene.succeeded()
        self._command = self._hooks.command()
        notes = self._hooks.notes()
        step = replace(step, events=(*step.events, *([] if disturbance is None else [disturbance]), *notes))
        held, now_s = self._agent.paused, step.observation.time_s
        lost_s = self._lost_s + (0.0 if self._paused_s is None else now_s - self._paused_s)
        limit_s = self._limits.max_seconds
        self._hooks.on_tick(Tick(*self._number, self._seed, step, success, held, now_s - lost_s, limit_s))
        self._held_s = (now_s if self._held_s is None else self._held_s) if success and not held else None
        self._last = step
        if self._command is Command.PAUSE and held:
            self._agent.resume()
        elif self._command in (Command.PAUSE, Command.NOTE) and not held:
            self._agent.pause(step.sent)
        if held and not notes and not self._ended_by_operator():
            self._pause_events = {event.kind: event for event in step.events} | self._pause_events
            return None
        # A note is recorded at once, also in a pause, so that it is kept however the session ends.
        self.steps += 1
        step = self._after_pause(step)
        self._paused_s = now_s if self._agent.paused else None
        return step

    def _after_pause(self, step: Step) -> Step:
        """The step, with the events of the pause before it, if there was one."""
        if self._paused_s is None:
            return step
        lost_s = step.observation.time_s - self._paused_s
        self._lost_s += lost_s
        events, self._pause_events = self._pause_events.values(), {}
        return replace(step, events=(Event(PAUSE, f"of {lost_s:.1f} s before this row"), *events, *step.events))

    def ended(self) -> bool:
        if self._ended_by_operator():
            return True
        if self._agent.paused:
            return False
        if self._held() or self.steps >= self._max_steps:
            return True
        # If the success test is true, the episode continues for `hold_s`, even if the agent is done.
        return self._last is not None and self._last.decision.done and self._held_s is None

    def result(self) -> EpisodeResult:
        return self._result(*self._ending())

    def failed(self, why: str) -> EpisodeResult:
        return self._result(Outcome.FAILURE, why)

    def _result(self, outcome: Outcome, why: str) -> EpisodeResult:
        last = self._last
        return EpisodeResult(
            episode=self._number[0],
            seed=self._seed,
            outcome=outcome,
            command=self._command if self._ended_by_operator() else Command.NONE,
            path=None,
            steps=self.steps,
            seconds=0.0 if last is None else last.observation.time_s - self._lost_s,
            attempts=1 if last is None else last.decision.attempt,
            why=why,
        )

    def _ended_by_operator(self) -> bool:
        return self._command in _OUTCOMES

    def _held(self) -> bool:
        if self._held_s is None or self._last is None:
            return False
        # Simulated times are sums of periods; without a tolerance, `hold_s` could take a tick longer.
        return self._last.observation.time_s - self._held_s >= self._limits.hold_s - 1e-6

    def _ending(self) -> tuple[Outcome, str]:
        if self._ended_by_operator():
            return _OUTCOMES[self._command], f"operator: {self._command}"
        if self._held():
            return Outcome.SUCCESS, "success held"
        done = self._last is not None and self._last.decision.done
        # Without a success test, an agent that is done counts as a success, unless it gave up.
        gave_up = self._last is not None and any(event.kind == "give_up" for event in self._last.decision.events)
        if done and self._scene is None and not gave_up:
            return Outcome.SUCCESS, "agent done"
        return Outcome.FAILURE, ("agent gave up" if gave_up else "agent done") if done else "time limit"


_OUTCOMES = {
    Command.SAVE: Outcome.SUCCESS,
    Command.DISCARD: Outcome.FAILURE,
    Command.REDO: Outcome.ABORTED,
    Command.BACK: Outcome.ABORTED,
    Command.STOP: Outcome.ABORTED,
}
