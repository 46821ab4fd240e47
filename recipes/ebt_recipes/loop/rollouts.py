"""Runs lock-step rollouts in worker processes: results do not depend on their number and are in seed order.

rollouts(trial: Trial, seeds, workers=2, report=...) -> list[Rollout]
Trial(bench, make: MakeAgent, limits, disturbance: DisturbanceRule | None = None, task: str | None = None)
roll_out(trial, seed) -> Rollout                    one rollout in this process
worker_pool(workers)                                a context manager; its workers exit with this process
MakeAgent: (bench, seed) -> Agent, importable by a worker: Trained(run, ...), MeanDemonstration(episodes), or custom
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from ebt_data.agent import Agent
from ebt_data.errors import HardwareError, TaskFailed
from ebt_data.step import Outcome, Step
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule
from ebt_recipes.loop.masked_cameras import CamerasMasked
from ebt_recipes.loop.recording import Hooks, Limits, record_episode
from ebt_recipes.loop.replay import ReplayMean
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import load_run
from ebt_recipes.uncertainty.conformal import Calibration, ScoreSeries
from ebt_recipes.workers import deferred_signals, ignore_stop_signals, workers_possible

DIED_HINT = "close other programs that use memory, then run the same command again"

MakeAgent = Callable[[Bench, int], Agent]
"""Creates the agent for a bench and a seed; it is pickled: a module-level function or a frozen dataclass."""


@dataclass(frozen=True)
class Trained:
    """A run's policy, optionally with masked cameras, other steps, or a monitor."""

    run: Path
    steps: int | None = None
    """Descent steps per plan; None: the recipe's. 0: plans are noise."""
    score: str = "energy"
    blindfolded: bool = False
    """Mask the cameras."""
    calibration: Path | None = None
    """Monitor the policy with these conformal thresholds."""
    retry: RetryRules | None = None
    """What to do after an alarm; None with a calibration: only record it."""

    def __call__(self, bench: Bench, seed: int) -> Agent:
        if self.calibration is None:
            policy = EnergyPolicy(load_run(self.run), bench.spec, seed=seed, steps=self.steps, score=self.score)
            return CamerasMasked(policy) if self.blindfolded else policy
        calibration = Calibration.load(self.calibration)
        policy = EnergyPolicy(load_run(self.run), bench.spec, seed=seed, steps=self.steps, score=calibration.score)
        return Retrying(policy, calibration.monitor(), bench.spec, self.retry or RetryRules(retries=0))


@dataclass(frozen=True)
class MeanDemonstration:
    """Replays the mean of these episodes' actions by the clock."""

    episodes: tuple[Path, ...]

    def __call__(self, bench: Bench, seed: int) -> Agent:
        return ReplayMean.of(self.episodes, bench.spec.rate_hz)


@dataclass(frozen=True)
class Trial:
    """What to roll out."""

    bench: str
    """Name or path of a bench file; every rollout opens its own bench."""
    make: MakeAgent
    limits: Limits
    disturbance: DisturbanceRule | None = None
    task: str | None = None
    """Replaces the bench file's task: a name or a path, as the twin accepts it."""


@dataclass(frozen=True)
class Rollout:
    """Result of one rollout."""

    seed: int
    outcome: Outcome
    why: str
    steps: int
    seconds: float
    attempts: int
    events: tuple[tuple[float, str, str], ...]
    """Time s, kind and text, in order."""
    plans: tuple[tuple[float, float, tuple[float, ...]], ...]
    """Time s, energy and scores of every new plan, the scores as the agent returned them."""

    @property
    def score_series(self) -> ScoreSeries:
        """Scores for calibration, of a rollout without a monitor."""
        return ScoreSeries(f"seed {self.seed}", tuple(p[0] for p in self.plans), tuple(p[2] for p in self.plans))


def use_one_thread() -> None:
    """Limit torch to one thread: a small network is slower on several, and they would occupy the loop's core."""
    torch.set_num_threads(1)


def _nothing(_: Rollout) -> None:
    return None


def rollouts(
    trial: Trial, seeds: Sequence[int], workers: int = 2, report: Callable[[Rollout], None] = _nothing
) -> list[Rollout]:
    """Roll out once on every seed; `report` is called with each as it ends, in any order.

    Every rollout opens its own bench, so that none depends on earlier ones or on the number of workers.

    Where the system cannot start workers, the rollouts run one after the other in this process.

    The workers exit with this process, however it ends, and immediately if `report` raises or on an interrupt.

    Raises:
        TaskFailed: a worker died. Any other exception of a worker is raised here.
    """
    if not workers_possible():
        use_one_thread()
        return [_roll_out_reported(trial, seed, report) for seed in seeds]
    with worker_pool(workers) as pool:
        try:
            # An interrupt during the start is deferred to the end of this block: any thread of this process may receive
            # the signal, and workers interrupted while starting would print tracebacks.
            with deferred_signals(), ignore_stop_signals():
                futures = [pool.submit(roll_out, trial, seed) for seed in seeds]
            for future in as_completed(futures):
                report(future.result())
        except BrokenProcessPool as error:
            raise TaskFailed("A rollout worker died, perhaps because memory ran out", hint=DIED_HINT) from error
    return [future.result() for future in futures]


def _roll_out_reported(trial: Trial, seed: int, report: Callable[[Rollout], None]) -> Rollout:
    rollout = roll_out(trial, seed)
    report(rollout)
    return rollout


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned workers of one thread each; they exit with this process, and immediately if the block raises.

    The pool alone would let them finish their queue: workers started under `ignore_stop_signals` ignore its SIGTERM.
    """
    context = multiprocessing.get_context("spawn")
    worker_end, parent_end = context.Pipe(duplex=False)
    with worker_end, parent_end, ProcessPoolExecutor(workers, context, _init_worker, (worker_end,)) as pool:
        try:
            yield pool
        except BaseException:
            parent_end.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _init_worker(parent: Connection) -> None:
    """Prepare a worker, and start its parent watchdog."""
    use_one_thread()
    threading.Thread(target=_exit_with, args=(parent,), name="parent watchdog", daemon=True).start()


def _exit_with(parent: Connection) -> None:
    """Exit when the other end of the pipe is closed; a rollout on the twin holds no resources that need closing."""
    parent.poll(None)
    os._exit(1)


def roll_out(trial: Trial, seed: int) -> Rollout:
    """Run one rollout in this process."""
    steps: list[Step] = []
    outcome, why = Outcome.FAILURE, ""
    try:
        table = load_bench(trial.bench)
        with (table if trial.task is None else table.with_task(trial.task)).open() as bench:
            agent = trial.make(bench, seed)
            hooks = Hooks() if trial.disturbance is None else Hooks(on_step=Disturbance(trial.disturbance, bench))
            result = record_episode(bench, agent, seed, trial.limits, hooks, (1, 1), steps.append)
            outcome, why = result.outcome, result.why
    except HardwareError as fault:
        # A policy that drives an arm into the table until a motor shuts down has failed; the other rollouts continue.
        if not steps:
            raise
        outcome, why = Outcome.FAILURE, f"fault: {fault}"
    decided = [(step.observation.time_s, step.decision) for step in steps]
    return Rollout(
        seed=seed,
        outcome=outcome,
        why=why,
        steps=len(steps),
        seconds=steps[-1].observation.time_s if steps else 0.0,
        attempts=steps[-1].decision.attempt if steps else 1,
        events=tuple((step.observation.time_s, event.kind, event.text) for step in steps for event in step.events),
        plans=tuple(
            (time_s, decision.energy, decision.scores or (decision.score,))
            for time_s, decision in decided
            if decision.trace
        ),
    )
