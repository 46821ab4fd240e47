"""One episode into one file: run the loop, watch for its end, and lose nothing that was recorded.

Command: NONE | SAVE | DISCARD | REDO | BACK | STOP | PAUSE | NOTE
Limits(max_seconds, hold_s=0.5)
Tick(episode, target, seed, step, success, ...)                          for the screen, every tick
EpisodeResult(episode, seed, outcome, command, path, steps, seconds, attempts, why)  for the screen, every episode
Hooks(watch, report, command, said, on_step)                             all optional
record_episode(bench, agent, recorder, meta, limits, hooks, number) -> EpisodeResult
judge_episode(bench, agent, seed, limits, hooks, number, append) -> EpisodeResult        the same, wherever it goes
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ebt_data.agent import Agent
from ebt_data.errors import HardwareError
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import PAUSE, Event, Outcome, Step
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.loop import run_episode
from ebt_recipes.loop.pausing import Pausable


class Command(StrEnum):
    """What the operator wants of the episode under way; read once a tick."""

    NONE = "none"
    SAVE = "save"  # it worked: end it, keep it as a success
    DISCARD = "discard"  # it did not: end it as a failure, go on with a fresh scene
    REDO = "redo"  # throw it away and do the same scene again
    BACK = "back"  # throw it and the one before away, and do that one's scene again
    STOP = "stop"  # end it and the session
    PAUSE = "pause"  # hold the arm and record nothing; once more: go on
    NOTE = "note"  # the same, to write something down; where it is paused already, it stays so


@dataclass(frozen=True)
class Limits:
    """When an episode ends by itself."""

    max_seconds: float
    hold_s: float = 0.5
    """How long the task's success test must hold."""


@dataclass(frozen=True)
class Tick:
    """What a screen needs to show the step that was just taken."""

    episode: int
    """From 1, of this session's target."""
    target: int
    seed: int | None
    step: Step
    success: bool
    """The success test holds just now; always False on a real bench."""
    paused: bool = False
    """The arm is held, and nothing is recorded but what is said."""
    seconds: float = 0.0
    """Of the episode so far, without pauses."""
    longest_s: float = float("inf")
    """After which it ends by itself."""


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode ended."""

    episode: int
    seed: int | None
    outcome: Outcome
    command: Command
    """Of the operator, `none` where it ended by itself."""
    path: Path | None
    """None where it was thrown away."""
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


def _no_more() -> None:
    return None


def _no_command() -> Command:
    return Command.NONE


def _no_words() -> tuple[Event, ...]:
    return ()


@dataclass(frozen=True)
class Hooks:
    """Who looks on, and who may interfere."""

    watch: Callable[[Tick], None] = _nothing
    report: Callable[[EpisodeResult], None] = _nothing
    command: Callable[[], Command] = _no_command
    said: Callable[[], tuple[Event, ...]] = _no_words
    """Marks and notes since the last tick, asked for after `command`."""
    settled: Callable[[], None] = _no_more
    """Called when every episode is on the disk, a long one some time after its report."""
    on_step: Callable[[Step], Event | None] = _nothing
    """Called before the step is recorded; what it did to the scene is recorded with the step."""


def record_episode(
    bench: Bench,
    agent: Agent,
    recorder: Recorder,
    meta: EpisodeMeta,
    limits: Limits,
    hooks: Hooks,
    number: tuple[int, int] = (1, 1),
) -> EpisodeResult:
    """Run and record one episode on the scene `meta.seed`; `number` is which of how many.

    The file is still open: `recorder.finish` or `recorder.discard` comes next. What a fault or an interrupt leaves
    behind, the recorder's own `with` keeps as aborted.
    """
    recorder.start(meta)
    return judge_episode(bench, agent, meta.seed, limits, hooks, number, recorder.append)


def judge_episode(
    bench: Bench,
    agent: Agent,
    seed: int | None,
    limits: Limits,
    hooks: Hooks,
    number: tuple[int, int],
    append: Callable[[Step], None],
) -> EpisodeResult:
    """Run one episode to its end, handing every step to `append`, and say how it ended."""
    pausable = Pausable(agent)
    episode = _Episode(bench, pausable, limits, hooks, number, seed)
    try:
        for step in run_episode(bench, pausable, seed):
            recorded = episode.take(step)
            if recorded is not None:
                append(recorded)
            if episode.over():
                break
    except HardwareError as fault:
        if not bench.spec.lockstep or episode.steps == 0:
            raise
        raise EpisodeFault(fault, episode.faulted(f"fault: {fault}")) from fault
    return episode.result()


class _Episode:
    """What is known of the episode under way, and whether it is over."""

    def __init__(
        self, bench: Bench, agent: Pausable, limits: Limits, hooks: Hooks, number: tuple[int, int], seed: int | None
    ) -> None:
        self.steps = 0
        """Those that are recorded."""
        self._most = round(limits.max_seconds * bench.spec.rate_hz)
        self._agent = agent
        self._paused_s: float | None = None  # the last row before the pause under way
        self._lost_s = 0.0  # to pauses
        self._meanwhile: dict[str, Event] = {}  # in the pause: the first event of each kind, for the next row
        self._scene = bench.scene
        self._limits = limits
        self._hooks = hooks
        self._number = number
        self._seed = seed
        self._held_s: float | None = None
        self._command = Command.NONE
        self._last: Step | None = None

    def take(self, step: Step) -> Step | None:
        """Let everybody look at a step, and return it with what they did to it; None if it is not recorded."""
        upset = self._hooks.on_step(step)
        success = self._scene is not None and self._scene.succeeded()
        self._command = self._hooks.command()
        said = self._hooks.said()
        step = replace(step, events=(*step.events, *([] if upset is None else [upset]), *said))
        held, now_s = self._agent.paused, step.observation.time_s
        lost_s = self._lost_s + (0.0 if self._paused_s is None else now_s - self._paused_s)
        longest_s = self._limits.max_seconds
        self._hooks.watch(Tick(*self._number, self._seed, step, success, held, now_s - lost_s, longest_s))
        self._held_s = (now_s if self._held_s is None else self._held_s) if success and not held else None
        self._last = step
        if self._command is Command.PAUSE and held:
            self._agent.go_on()
        elif self._command in (Command.PAUSE, Command.NOTE) and not held:
            self._agent.pause(step.sent)
        if held and not said and not self._ended_by_hand():
            self._meanwhile = {event.kind: event for event in step.events} | self._meanwhile
            return None
        # In a pause too, what is said is written at once, so that nothing that ends the session can take it.
        self.steps += 1
        step = self._after_pause(step)
        self._paused_s = now_s if self._agent.paused else None
        return step

    def _after_pause(self, step: Step) -> Step:
        """The step, with what happened in the pause before it, if there was one."""
        if self._paused_s is None:
            return step
        lost_s = step.observation.time_s - self._paused_s
        self._lost_s += lost_s
        meanwhile, self._meanwhile = self._meanwhile.values(), {}
        return replace(step, events=(Event(PAUSE, f"of {lost_s:.1f} s before this row"), *meanwhile, *step.events))

    def over(self) -> bool:
        if self._ended_by_hand():
            return True
        if self._agent.paused:
            return False
        if self._held() or self.steps >= self._most:
            return True
        # A success that holds just now is given the time to last, even where the agent has let go.
        return self._last is not None and self._last.decision.done and self._held_s is None

    def result(self) -> EpisodeResult:
        return self._result(*self._ending())

    def faulted(self, why: str) -> EpisodeResult:
        return self._result(Outcome.FAILURE, why)

    def _result(self, outcome: Outcome, why: str) -> EpisodeResult:
        last = self._last
        return EpisodeResult(
            episode=self._number[0],
            seed=self._seed,
            outcome=outcome,
            command=self._command if self._ended_by_hand() else Command.NONE,
            path=None,
            steps=self.steps,
            seconds=0.0 if last is None else last.observation.time_s - self._lost_s,
            attempts=1 if last is None else last.decision.attempt,
            why=why,
        )

    def _ended_by_hand(self) -> bool:
        return self._command in _SAID

    def _held(self) -> bool:
        if self._held_s is None or self._last is None:
            return False
        # Simulated times are sums of periods; without slack half a second could take a tick longer.
        return self._last.observation.time_s - self._held_s >= self._limits.hold_s - 1e-6

    def _ending(self) -> tuple[Outcome, str]:
        if self._ended_by_hand():
            return _SAID[self._command], f"operator: {self._command}"
        if self._held():
            return Outcome.SUCCESS, "success held"
        done = self._last is not None and self._last.decision.done
        # Where nobody judges, an agent that says it is done is taken at its word, unless it gave up.
        gave_up = self._last is not None and any(event.kind == "give_up" for event in self._last.decision.events)
        if done and self._scene is None and not gave_up:
            return Outcome.SUCCESS, "agent done"
        return Outcome.FAILURE, ("agent gave up" if gave_up else "agent done") if done else "time limit"


_SAID = {
    Command.SAVE: Outcome.SUCCESS,
    Command.DISCARD: Outcome.FAILURE,
    Command.REDO: Outcome.ABORTED,
    Command.BACK: Outcome.ABORTED,
    Command.STOP: Outcome.ABORTED,
}
