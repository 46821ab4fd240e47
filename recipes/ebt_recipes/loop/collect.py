"""Demonstrations: episode after episode at the leader arm until the folder holds enough good ones.

CollectPlan(target, limits, first_seed=0, keep_failures=False, patience=10)
collect(bench, leader, recorder, folder, meta, plan, hooks=Hooks()) -> CollectSummary(kept, had, discarded, failures, stopped)
Commands (Hooks.command, once a tick): SAVE keeps, DISCARD throws away and lays a fresh scene, REDO throws away and lays
the same scene, BACK throws away this one and the one that was kept before it, whose scene comes next, STOP throws away and
ends the session; what is thrown away lies in the folder's trash.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from ebt_data.agent import Agent
from ebt_data.errors import TaskFailed
from ebt_data.files.commit import discard
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Outcome
from ebt_data.windows.windows import check_same
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits, record_episode


@dataclass(frozen=True)
class CollectPlan:
    """What to collect."""

    target: int
    """Good demonstrations that the folder shall hold, those that are there already included."""
    limits: Limits
    first_seed: int = 0
    """Of the first scene; seeds that the folder already knows are passed over. A real bench has none."""
    keep_failures: bool = False
    """Keep failed demonstrations, marked as such; they don't count."""
    patience: int = 10
    """Failures in a row that end the session."""


@dataclass(frozen=True)
class CollectSummary:
    """What a session brought."""

    kept: tuple[Path, ...]
    """The new good ones."""
    had: int
    """Good ones that were there before."""
    failures: int
    """Demonstrations that failed, kept or not."""
    discarded: int
    """Thrown away at the operator's command or because they failed."""
    stopped: bool
    """The operator ended the session before the target."""


SEAL_S = 0.2
"""How long the next demonstration waits for the one before to be on the disk; a long one gets there beside it."""


def collect(
    bench: Bench,
    leader: Agent,
    recorder: Recorder,
    folder: Path,
    meta: EpisodeMeta,
    plan: CollectPlan,
    hooks: Hooks | None = None,
) -> CollectSummary:
    """Record demonstrations into `folder`, the recorder's, until it holds `plan.target` good ones.

    Raises:
        TaskFailed: `plan.patience` demonstrations failed in a row; what was kept stays.
        DataError: the folder's demonstrations of this task are from a bench that differs; nothing moves.
    """
    hooks = hooks or Hooks()
    had, seeds = _resume(bench, folder, plan)
    kept: list[EpisodeResult] = []
    failed: list[EpisodeResult] = []
    discarded = in_a_row = 0
    again: list[int | None] = []  # scenes to lay before the next fresh one, the last one first
    while had + len(kept) < plan.target:
        seed = again.pop() if again else next(seeds)
        number = (had + len(kept) + 1, plan.target)
        result = record_episode(bench, leader, recorder, replace(meta, seed=seed), plan.limits, hooks, number)
        result = _keep(recorder, result, plan)
        hooks.report(result)
        if result.command in (Command.REDO, Command.BACK):
            again.append(seed)
        if result.command is Command.BACK and kept:
            recorder.settle()
            taken = kept.pop()
            again.append(_throw_away(taken))
            hooks.report(replace(taken, path=None, outcome=Outcome.ABORTED, command=Command.BACK, why="taken back"))
            discarded += 1
        discarded += result.path is None
        in_a_row = in_a_row + 1 if result.outcome is Outcome.FAILURE else 0
        if result.outcome is Outcome.FAILURE:
            failed.append(result)
        elif result.path is not None:
            kept.append(result)
        if result.command is Command.STOP:
            break
        if in_a_row >= plan.patience:
            raise TaskFailed(f"{in_a_row} demonstrations in a row failed; {len(kept)} new ones were kept")
    recorder.settle()
    hooks.settled()
    paths = tuple(result.path for result in kept if result.path is not None)
    return CollectSummary(paths, had, len(failed), discarded, had + len(kept) < plan.target)


def _resume(bench: Bench, folder: Path, plan: CollectPlan) -> tuple[int, Iterator[int | None]]:
    """How many good demonstrations of the bench's task the folder holds, and fresh seeds for the rest."""
    known: set[int | None] = set()
    had = 0
    for path in list_episodes(folder):
        with Episode(path) as episode:
            if episode.meta.task != bench.spec.task:
                continue  # a folder may hold several tasks
            if episode.counts():
                check_same(bench.spec, episode, f"what {bench.spec.name} records now")
            # The scene of a demonstration that was interrupted, cut off or excluded is laid again.
            if episode.counts((Outcome.SUCCESS, Outcome.FAILURE)):
                known.add(episode.meta.seed)
            had += episode.meta.kind == "demo" and episode.counts()
    if bench.scene is None:
        return had, (None for _ in count())
    return had, (seed for seed in count(plan.first_seed) if seed not in known)


def _throw_away(result: EpisodeResult) -> int | None:
    """Move a kept episode to the trash; returns its scene."""
    if result.path is not None:
        discard(result.path)
    return result.seed


def _keep(recorder: Recorder, result: EpisodeResult, plan: CollectPlan) -> EpisodeResult:
    """Close the file, or throw it away."""
    good = result.outcome is Outcome.SUCCESS or (plan.keep_failures and result.outcome is Outcome.FAILURE)
    if good:
        return replace(result, path=recorder.finish(result.outcome, SEAL_S))
    recorder.discard()
    return result
