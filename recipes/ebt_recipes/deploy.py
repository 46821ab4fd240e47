"""Rollouts: a policy acts, everything is recorded, and the successes are counted with their uncertainty.

DeployPlan(seeds: tuple[int | None, ...], limits: Limits)
deploy(bench, agent, recorder, meta, plan, hooks=Hooks()) -> DeploySummary(results, stopped) .successes .judged .rate .interval
Commands: SAVE = it worked, DISCARD = it did not (kept as a failure), REDO = throw away and do the scene again, STOP.
Hooks.on_step may disturb the scene: `Disturbance("knock", when=lifted("cube"), bench=bench)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ebt_data.agent import Agent
from ebt_data.errors import MisuseError
from ebt_data.meta import EpisodeMeta
from ebt_data.recorder import Recorder
from ebt_data.step import Event, Outcome, Step
from ebt_hardware.bench import Bench
from ebt_recipes.interval import wilson
from ebt_recipes.recording import Command, EpisodeResult, Hooks, Limits, record_episode


@dataclass(frozen=True)
class DeployPlan:
    """Which rollouts to make."""

    seeds: tuple[int | None, ...]
    """One rollout each; None on a real bench."""
    limits: Limits


@dataclass(frozen=True)
class DeploySummary:
    """How the rollouts went."""

    results: tuple[EpisodeResult, ...]
    """Those that were kept, aborted ones included."""
    stopped: bool
    """The operator ended the session before the last."""

    @property
    def judged(self) -> int:
        """Rollouts that ended as a success or a failure."""
        return sum(result.outcome is not Outcome.ABORTED for result in self.results)

    @property
    def successes(self) -> int:
        return sum(result.outcome is Outcome.SUCCESS for result in self.results)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson, 95 %."""
        return wilson(self.successes, self.judged)


def deploy(
    bench: Bench, agent: Agent, recorder: Recorder, meta: EpisodeMeta, plan: DeployPlan, hooks: Hooks | None = None
) -> DeploySummary:
    """Roll the agent out once on every seed, one file each."""
    hooks = hooks or Hooks()
    results: list[EpisodeResult] = []
    while len(results) < len(plan.seeds):
        scene = replace(meta, seed=plan.seeds[len(results)])
        number = (len(results) + 1, len(plan.seeds))
        result = record_episode(bench, agent, recorder, scene, plan.limits, hooks, number)
        if result.command is Command.REDO:
            recorder.discard()
            hooks.report(result)
            continue
        results.append(replace(result, path=recorder.finish(result.outcome)))
        hooks.report(results[-1])
        if result.command is Command.STOP:
            break
    return DeploySummary(tuple(results), stopped=len(results) < len(plan.seeds))


class Disturbance:
    """Disturbs the twin's scene once an episode, the first time that `when` holds; goes into `Hooks.on_step`."""

    def __init__(self, kind: str, when: Callable[[Step], bool], bench: Bench) -> None:
        """`kind` as the twin's task names them.

        Raises:
            MisuseError: the bench is real.
        """
        if bench.scene is None:
            raise MisuseError("Only a twin can be disturbed at a command; this bench is real", hint="--bench twin")
        self._kind = kind
        self._when = when
        self._scene = bench.scene
        self._done_s: float | None = None

    def __call__(self, step: Step) -> Event | None:
        now_s = step.observation.time_s
        if self._done_s is not None and now_s < self._done_s:
            self._done_s = None  # the clock went back: a new episode
        if self._done_s is not None or not self._when(step):
            return None
        self._done_s = now_s
        self._scene.disturb(self._kind)
        return Event("disturbance", self._kind)


def lifted(thing: str, height_m: float = 0.05) -> Callable[[Step], bool]:
    """True while the twin's object is higher than this above the table."""

    def high(step: Step) -> bool:
        return bool(step.observation.privileged[thing][2] > height_m)

    return high
