"""Rolls a policy out, records every rollout, and computes the success rate with its confidence interval.

DeployPlan(seeds: Sequence[int | None], limits: Limits)
deploy(bench, agent, recorder, meta, plan, hooks=Hooks()) -> DeploySummary(results, stopped)
                                                             .successes   .judged   .interval
Commands: SAVE = success, DISCARD = failure (kept), REDO = discard and repeat the scene, STOP.
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
    """Rollouts to run."""

    seeds: Sequence[int | None]
    """One rollout per seed; None on a real bench."""
    limits: Limits


@dataclass(frozen=True)
class DeploySummary:
    """Result of the rollouts."""

    results: tuple[EpisodeResult, ...]
    """Rollouts that were kept, including aborted ones."""
    stopped: bool
    """Whether the operator ended the session before the last rollout."""

    @property
    def judged(self) -> int:
        """Rollouts that ended as a success or a failure."""
        return sum(result.outcome is not Outcome.ABORTED for result in self.results)

    @property
    def successes(self) -> int:
        return sum(result.outcome is Outcome.SUCCESS for result in self.results)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the success rate."""
        return wilson(self.successes, self.judged)


def bench_for_run(bench: TwinBench | DynamixelBench, run: Run, task: str | None = None) -> TwinBench | DynamixelBench:
    """The bench with `task`, by default the run's; on a real bench a task is only a name.

    Raises:
        ConfigError: unknown task, or the run's task is not built in: a run does not store the path of its task's code.
    """
    trained = run.contract.task
    if task is not None:
        return bench.with_task(task)
    if not (isinstance(bench, TwinBench) and trained):
        return bench
    if trained not in TASKS:
        raise ConfigError(
            f"{run.path} was trained on {trained!r}, which is not a built-in task of the twin",
            hint=f"choose a task: --task ./my_task.py:{trained}, or one of {', '.join(TASKS)}",
        )
    return bench.with_task(trained)


def task_mismatch(spec: BenchSpec, run: Run) -> str:
    """A warning if the twin's task differs from the run's; empty otherwise."""
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
    """Run `deploy` on a bench opened with `open_bench`.

    On the lock-step twin a fault, such as an overloaded motor, fails its rollout; the next rollout opens a new bench.
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
    """Roll the agent out once on every remaining seed of the plan, one file each; `results` holds earlier rollouts.

    Raises:
        EpisodeFault: a fault of the lock-step twin; the failed rollout is kept and appended to `results`.
    """
    hooks = hooks or Hooks()
    results = [] if results is None else results
    while len(results) < len(plan.seeds):
        episode_meta = replace(meta, seed=plan.seeds[len(results)])
        number = (len(results) + 1, len(plan.seeds))
        try:
            recorder.start(episode_meta)
            result = record_episode(bench, agent, episode_meta.seed, plan.limits, hooks, number, recorder.append)
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
