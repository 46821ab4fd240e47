"""Many lock-step rollouts over worker processes: the same answer whatever their number, in the order of the seeds.

rollouts(trial: Trial, seeds, workers=2, report=...) -> list[Rollout]
Trial(bench, make: MakeAgent, limits, disturbance: DisturbanceRule | None = None, task: str | None = None)
roll_out(trial, seed) -> Rollout                    one, here
worker_pool(workers)                                a context; its processes end with this one
MakeAgent: (bench, seed) -> Agent, importable by a worker: Trained(run, ...), MeanDemonstration(episodes), or your own
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
from ebt_recipes.loop.control_policies import CamerasMasked, ReplayMean
from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule
from ebt_recipes.loop.recording import Hooks, Limits, judge_episode
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import load_run
from ebt_recipes.uncertainty.conformal import Calibration, Stream
from ebt_recipes.workers import held_back, ignore_stop_signals, workers_possible

DIED_HINT = "close what else takes memory, then give the same command again"

MakeAgent = Callable[[Bench, int], Agent]
"""Makes the agent for a bench and a seed; it is pickled, so a function of a module or a frozen dataclass."""


@dataclass(frozen=True)
class Trained:
    """A run's policy, or the same without eyes, with other steps, or watched."""

    run: Path
    steps: int | None = None
    """PlanService steps; 0 acts from noise."""
    score: str = "energy"
    blindfolded: bool = False
    calibration: Path | None = None
    """Watched by this band where given."""
    retry: RetryRules | None = None
    """What to do after a rise; None with a calibration: only note it."""

    def __call__(self, bench: Bench, seed: int) -> Agent:
        if self.calibration is None:
            policy = EnergyPolicy(load_run(self.run), bench.spec, seed=seed, steps=self.steps, score=self.score)
            return CamerasMasked(policy) if self.blindfolded else policy
        calibration = Calibration.load(self.calibration)
        policy = EnergyPolicy(load_run(self.run), bench.spec, seed=seed, steps=self.steps, score=calibration.score)
        return Retrying(policy, calibration.monitor(), bench.spec, self.retry or RetryRules(retries=0))


@dataclass(frozen=True)
class MeanDemonstration:
    """The mean of these episodes' actions by the clock."""

    episodes: tuple[Path, ...]

    def __call__(self, bench: Bench, seed: int) -> Agent:
        return ReplayMean.of(self.episodes, bench.spec.rate_hz)


@dataclass(frozen=True)
class Trial:
    """What is rolled out."""

    bench: str
    """Name or path of a bench file; every rollout opens its own."""
    make: MakeAgent
    limits: Limits
    disturbance: DisturbanceRule | None = None
    task: str | None = None
    """Instead of the bench file's: a name or a path, as the twin takes it."""


@dataclass(frozen=True)
class Rollout:
    """How one went."""

    seed: int
    outcome: Outcome
    why: str
    steps: int
    seconds: float
    attempts: int
    events: tuple[tuple[float, str, str], ...]
    """Time s, kind and text, in order."""
    plans: tuple[tuple[float, float, tuple[float, ...]], ...]
    """Time s, energy and scores of every new plan, the scores as the agent gave them."""

    @property
    def stream(self) -> Stream:
        """For calibration, of a rollout that nobody watched."""
        return Stream(f"seed {self.seed}", tuple(p[0] for p in self.plans), tuple(p[2] for p in self.plans))


def use_one_thread() -> None:
    """For a policy: so small a network is slower on several threads, and they would take the loop's core."""
    torch.set_num_threads(1)


def _nothing(_: Rollout) -> None:
    return None


def rollouts(
    trial: Trial, seeds: Sequence[int], workers: int = 2, report: Callable[[Rollout], None] = _nothing
) -> list[Rollout]:
    """Roll out once on every seed; `report` hears of each as it ends, in any order.

    Every rollout has a bench of its own, so that none depends on what ran before it or on the number of workers.

    Where the system cannot have workers, they are made one after the other in this process.

    The workers end with this process, however it ends, and at once where `report` raises or somebody interrupts.

    Raises:
        TaskFailed: a worker died. Whatever else a worker raises is raised here.
    """
    if not workers_possible():
        use_one_thread()
        return [_reported(roll_out(trial, seed), report) for seed in seeds]
    with worker_pool(workers) as pool:
        try:
            # A stop meanwhile is raised where this block ends. Held back as well, since any thread of this process may be
            # told of it, and half-started workers end in tracebacks of their own.
            with held_back(), ignore_stop_signals():
                futures = [pool.submit(roll_out, trial, seed) for seed in seeds]
            for future in as_completed(futures):
                report(future.result())
        except BrokenProcessPool as error:
            raise TaskFailed("A rollout worker died, perhaps for want of memory", hint=DIED_HINT) from error
    return [future.result() for future in futures]


def _reported(rollout: Rollout, report: Callable[[Rollout], None]) -> Rollout:
    report(rollout)
    return rollout


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned workers of one thread each; they end with this process, however it ends, and at once where the block raises.

    The pool alone would let them work off what was asked: they are deaf to its SIGTERM where `ignore_stop_signals` made them so.
    """
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    with theirs, ours, ProcessPoolExecutor(workers, context, _begin_work, (theirs,)) as pool:
        try:
            yield pool
        except BaseException:
            ours.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _begin_work(life_line: Connection) -> None:
    """Prepare a worker, which is gone when its parent is."""
    use_one_thread()
    threading.Thread(target=_end_with, args=(life_line,), name="life line", daemon=True).start()


def _end_with(life_line: Connection) -> None:
    """End this process when the other end of the pipe is closed: a rollout on the twin holds nothing worth closing."""
    life_line.poll(None)
    os._exit(1)


def roll_out(trial: Trial, seed: int) -> Rollout:
    """One, in this process."""
    steps: list[Step] = []
    outcome, why = Outcome.FAILURE, ""
    try:
        table = load_bench(trial.bench)
        with (table if trial.task is None else table.with_task(trial.task)).open() as bench:
            agent = trial.make(bench, seed)
            upset = Hooks() if trial.disturbance is None else Hooks(on_step=Disturbance(trial.disturbance, bench))
            result = judge_episode(bench, agent, seed, trial.limits, upset, (1, 1), steps.append)
            outcome, why = result.outcome, result.why
    except HardwareError as fault:
        # A policy that drives an arm into the table until a motor shuts down has failed; no reason to stop counting.
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
