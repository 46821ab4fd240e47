"""Finishes an episode whose writer died: repairs the file, and adds the rows that the recorder still has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.recording import repair
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Outcome, Step


def salvage(
    part: Path,
    spec: BenchSpec,
    meta: EpisodeMeta,
    options: tuple[int | None, int],
    rows: Sequence[tuple[Step, frozenset[str]]],
) -> tuple[Path, int]:
    """Commit `part` as aborted, with those of `rows` that it lacks; returns its path and how many rows it holds.

    `options` are the writer's quality and reserved bytes.

    Raises:
        DataError: there is no row to keep, the disk does not take what is missing, which `repair` then finds as it is, or
            the file is damaged beyond what a kill does.
    """
    with _left_to_repair(part):
        found = repair.level(part) if part.exists() else None
        if found is not None and found[1]:  # only the rename was missing
            repaired = repair.repair_part(part)
            if repaired is not None:
                return repaired.path, repaired.rows
        if found is None and not rows:
            raise DataError("the writer process died before it had written a row")
        writer = EpisodeWriter(part.parent, spec, meta, *options, part=None if found is None else part)
        last_s = writer.last_tick_s
        for step, dropped in rows:
            if step.observation.time_s > last_s:
                writer.append(step, dropped)
        return writer.commit(Outcome.ABORTED, complete=False), writer.rows


@contextmanager
def _left_to_repair(part: Path) -> Iterator[None]:
    """Say what becomes of a file that the disk does not take on with."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{part.name} is left to the next start to repair ({error})", "free some space first"
        ) from error
