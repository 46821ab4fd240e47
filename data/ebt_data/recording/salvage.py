"""Finishes an episode whose writer died: repairs the file and appends the rows that the recorder still holds."""

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
    """Commit `part` as aborted, with those of `rows` that it lacks; returns its path and number of rows.

    `options` are the writer's quality and reserved bytes.

    Raises:
        DataError: there is no row to keep, the missing rows cannot be written (`repair` then recovers the others), or the
            file is damaged.
    """
    with _left_to_repair(part):
        consistent = repair.make_consistent(part) if part.exists() else None
        if consistent is not None and consistent[1]:  # only the rename was missing
            repaired = repair.repair_part(part)
            if repaired is not None:
                return repaired.path, repaired.rows
        if consistent is None and not rows:
            raise DataError("the writer process died before it had written a row")
        writer = EpisodeWriter(part.parent, spec, meta, *options, part=None if consistent is None else part)
        last_s = writer.last_tick_s
        for step, dropped in rows:
            if step.observation.time_s > last_s:
                writer.append(step, dropped)
        return writer.commit(Outcome.ABORTED, complete=False), writer.rows


@contextmanager
def _left_to_repair(part: Path) -> Iterator[None]:
    """Report that `repair` will recover the file if it cannot be written to."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise DataError(f"{part.name} will be repaired at the next start ({error})", "free some space first") from error
