"""Records demonstrations at the leader arm, episode by episode, until the folder holds enough successful ones.

CollectPlan(target, limits, first_seed=0, keep_failures=False, patience=10)
collect(bench, leader, recorder, folder, meta, plan, hooks=Hooks())
    -> CollectSummary(kept, existing, failures, discarded, stopped)
Commands (Hooks.command, once a tick): SAVE keeps the episode, DISCARD discards it and resets to a new scene, REDO
discards it and resets to the same scene, BACK discards it and the episode kept before it, and resets to that one's
scene, STOP discards it and ends the session. Discarded episodes are moved to the folder's trash.
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
from ebt_data.windows.windows import check_compatible
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits, record_episode


@dataclass(frozen=True)
class CollectPlan:
    """What to collect."""

    target: int
    """Successful demonstrations that the folder shall hold, including existing ones."""
    limits: Limits
    first_seed: int = 0
    """Seed of the first scene; seeds already in the folder are skipped. A real bench has none."""
    keep_failures: bool = False
    """Keep failed demonstrations, marked as failures; they do not count towards the target."""
    patience: int = 10
    """Consecutive failures that end the session."""


@dataclass(frozen=True)
class CollectSummary:
    """Result of a session."""

    kept: tuple[Path, ...]
    """New successful demonstrations."""
    existing: int
    """Successful demonstrations before the session."""
    failures: int
    """Failed demonstrations, kept or not."""
    discarded: int
    """Demonstrations discarded by the operator or because they failed."""
    stopped: bool
    """Whether the operator ended the session before the target."""


SEAL_S = 0.2
"""How long the next demonstration waits for the previous file; a long one is written in the background."""


def collect(
    bench: Bench,
    leader: Agent,
    recorder: Recorder,
    folder: Path,
    meta: EpisodeMeta,
    plan: CollectPlan,
    hooks: Hooks | None = None,
) -> CollectSummary:
    """Record demonstrations into `folder`, the recorder's, until it holds `plan.target` successful ones.

    Raises:
        TaskFailed: `plan.patience` demonstrations failed in a row; those already kept stay.
        DataError: the folder's demonstrations of this task are from a different bench; no arm moves.
    """
    hooks = hooks or Hooks()
    existing, seeds = _resume(bench, folder, plan)
    kept: list[EpisodeResult] = []
    failed: list[EpisodeResult] = []
    discarded = consecutive = 0
    repeats: list[int | None] = []  # seeds of the scenes to repeat before a new one; the last comes first
    while existing + len(kept) < plan.target:
        seed = repeats.pop() if repeats else next(seeds)
        number = (existing + len(kept) + 1, plan.target)
        recorder.start(replace(meta, seed=seed))
        result = record_episode(bench, leader, seed, plan.limits, hooks, number, recorder.append)
        result = _keep(recorder, result, plan)
        hooks.report(result)
        if result.command in (Command.REDO, Command.BACK):
            repeats.append(seed)
        if result.command is Command.BACK and kept:
            recorder.wait_sealed()
            previous = kept.pop()
            repeats.append(_discard_kept(previous))
            hooks.report(replace(previous, path=None, outcome=Outcome.ABORTED, command=Command.BACK, why="taken back"))
            discarded += 1
        discarded += result.path is None
        consecutive = consecutive + 1 if result.outcome is Outcome.FAILURE else 0
        if result.outcome is Outcome.FAILURE:
            failed.append(result)
        elif result.path is not None:
            kept.append(result)
        if result.command is Command.STOP:
            break
        if consecutive >= plan.patience:
            raise TaskFailed(f"{consecutive} demonstrations in a row failed; {len(kept)} new ones were kept")
    recorder.wait_sealed()
    hooks.on_saved()
    paths = tuple(result.path for result in kept if result.path is not None)
    return CollectSummary(paths, existing, len(failed), discarded, existing + len(kept) < plan.target)


def _resume(bench: Bench, folder: Path, plan: CollectPlan) -> tuple[int, Iterator[int | None]]:
    """Number of successful demonstrations of the bench's task in the folder, and seeds for the remaining ones."""
    known: set[int | None] = set()
    existing = 0
    for path in list_episodes(folder):
        with Episode(path) as episode:
            if episode.meta.task != bench.spec.task:
                continue  # a folder may hold several tasks
            if episode.is_eligible():
                check_compatible(bench.spec, episode, f"what {bench.spec.name} records now")
            # The scene of a demonstration that was interrupted, truncated or excluded is used again.
            if episode.is_eligible((Outcome.SUCCESS, Outcome.FAILURE)):
                known.add(episode.meta.seed)
            existing += episode.meta.kind == "demo" and episode.is_eligible()
    if bench.scene is None:
        return existing, (None for _ in count())
    return existing, (seed for seed in count(plan.first_seed) if seed not in known)


def _discard_kept(result: EpisodeResult) -> int | None:
    """Move a kept episode to the trash; returns its seed."""
    if result.path is not None:
        discard(result.path)
    return result.seed


def _keep(recorder: Recorder, result: EpisodeResult, plan: CollectPlan) -> EpisodeResult:
    """Close the file, or discard it."""
    keep = result.outcome is Outcome.SUCCESS or (plan.keep_failures and result.outcome is Outcome.FAILURE)
    if keep:
        return replace(result, path=recorder.finish(result.outcome, SEAL_S))
    recorder.discard()
    return result
