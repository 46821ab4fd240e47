"""Rollouts: a policy acts, everything is recorded, and the successes are counted with their uncertainty.

DeployPlan(seeds: Sequence[int | None], limits: Limits)
deploy(bench, agent, recorder, meta, plan, hooks=Hooks()) -> DeploySummary(results, stopped) .successes .judged .rate .interval
Commands: SAVE = it worked, DISCARD = it did not (kept as a failure), REDO = throw away and do the scene again, STOP.
Hooks.on_step may disturb the scene: see disturbance.py.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ebt_data.agent import Agent
from ebt_data.errors import ConfigError
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import BenchSpec, Outcome
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import DynamixelBench, TwinBench
from ebt_hardware.twin.tasks.registry import TASKS
from ebt_recipes.loop.interval import wilson
from ebt_recipes.loop.recording import Command, EpisodeFault, EpisodeResult, Hooks, Limits, record_episode
from ebt_recipes.training.checkpoint import Run


@dataclass(frozen=True)
class DeployPlan:
    """Which rollouts to make."""

    seeds: Sequence[int | None]
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


def for_run(bench: TwinBench | DynamixelBench, run: Run, task: str | None = None) -> TwinBench | DynamixelBench:
    """The bench with `task` on it, by default what the run was trained on; on real arms a task is only a word.

    Raises:
        ConfigError: no such task, or the run's is none that ships: a run's file names no code.
    """
    trained = run.contract.task
    if task is not None:
        return bench.with_task(task)
    if not (isinstance(bench, TwinBench) and trained):
        return bench
    if trained not in TASKS:
        raise ConfigError(
            f"{run.path} was trained on {trained!r}, which is no task that the twin ships with",
            hint=f"say what to lay on its table: --task ./my_task.py:{trained}, or one of {', '.join(TASKS)}",
        )
    return bench.with_task(trained)


def other_task(spec: BenchSpec, run: Run) -> str:
    """A warning where a twin's task is not the run's; empty otherwise."""
    if not spec.sim or run.contract.task in ("", spec.task):
        return ""
    return f"{run.path} was trained on {run.contract.task}, not on {spec.task}: expect it to fail"


def deploy_reopening(
    open_bench: Callable[[], AbstractContextManager[Bench]],
    agent: Agent,
    recorder: Recorder,
    meta: EpisodeMeta,
    plan: DeployPlan,
    hooks_on: Callable[[Bench], Hooks],
) -> DeploySummary:
    """`deploy` on a bench that is opened here.

    On the lock-step twin a fault, such as an overloaded motor, fails its rollout, and the next one gets a new bench.
    """
    results: list[EpisodeResult] = []
    while True:
        try:
            with open_bench() as bench:
                return deploy(
                    bench, agent, recorder, replace(meta, calibration=bench.calibration), plan, hooks_on(bench), results
                )
        except EpisodeFault:
            if len(results) == len(plan.seeds):
                return DeploySummary(tuple(results), stopped=False)


def deploy(
    bench: Bench,
    agent: Agent,
    recorder: Recorder,
    meta: EpisodeMeta,
    plan: DeployPlan,
    hooks: Hooks | None = None,
    results: list[EpisodeResult] | None = None,
) -> DeploySummary:
    """Roll the agent out once on every seed that `results` has no rollout of yet, one file each.

    Raises:
        EpisodeFault: a fault of the lock-step twin; the failed rollout is kept and in `results`.
    """
    hooks = hooks or Hooks()
    results = [] if results is None else results
    while len(results) < len(plan.seeds):
        scene = replace(meta, seed=plan.seeds[len(results)])
        number = (len(results) + 1, len(plan.seeds))
        try:
            result = record_episode(bench, agent, recorder, scene, plan.limits, hooks, number)
        except EpisodeFault as fault:
            results.append(replace(fault.result, path=recorder.finish(fault.result.outcome)))
            hooks.report(results[-1])
            raise
        if result.command is Command.REDO:
            recorder.discard()
            hooks.report(result)
            continue
        results.append(replace(result, path=recorder.finish(result.outcome)))
        hooks.report(results[-1])
        if result.command is Command.STOP:
            break
    return DeploySummary(tuple(results), stopped=len(results) < len(plan.seeds))
