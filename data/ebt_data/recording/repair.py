"""Repairs an interrupted recording and commits it as an episode."""

import fcntl
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ebt_data.errors import DataError
from ebt_data.files import commit
from ebt_data.layout import attributes, codec, row_checksums
from ebt_data.layout import format as layout
from ebt_data.layout.hdf5 import check_sizes, list_datasets
from ebt_data.reading import sandbox
from ebt_data.recording import superblock
from ebt_data.recording.rebuild import rebuild
from ebt_data.step import BenchSpec, Outcome

UNSYNCED_S = 5.0
"""Time at the end of a recording that may not have reached the disk: it is synced every second."""
_UNSYNCED_ROWS = 5000
"""The same in rows for simulated time, which is not bound to wall time."""


@dataclass(frozen=True)
class RepairResult:
    """An interrupted episode that was repaired."""

    path: Path
    rows: int
    complete: bool
    """True if only the rename was missing."""


def repair(folder: Path) -> list[str]:
    """Repair every interrupted recording in a folder; returns one message for the user about each.

    A recording that a live process is writing is left alone. One that cannot be repaired is unchanged and reported.
    """
    messages = []
    for part in sorted(folder.glob(f"*{commit.PART}")):
        try:
            repaired = repair_part(part, untrusted=True)
        except (BlockingIOError, FileNotFoundError):  # another process is writing it, or has just repaired it
            continue
        except DataError as error:
            messages.append(str(error))
            continue
        if repaired is None:
            messages.append(f"{part.name} was cut off before its first row; there was nothing to keep.")
        elif repaired.complete:
            messages.append(
                f"{repaired.path.name} was cut off after its last row; it is whole, with {repaired.rows} rows."
            )
        else:
            messages.append(f"{repaired.path.name} was cut off; rows kept: {repaired.rows}, marked as aborted.")
    return messages


def repair_part(part: Path, *, untrusted: bool = False) -> RepairResult | None:
    """Repair one `.part` in place and commit it; None if it had no row and was deleted.

    `untrusted`: its origin is unknown, so a child process reads it first.

    Raises:
        BlockingIOError: a live process is writing it.
        DataError: it was not recorded by ebt, or is damaged beyond repair; it is unchanged.
    """
    result = make_consistent(part, untrusted=untrusted)
    return None if result is None else RepairResult(commit.commit(part), *result)


def make_consistent(part: Path, *, untrusted: bool = False) -> tuple[int, bool] | None:
    """Truncate one `.part` to its complete rows; returns how many, and whether it was finished; None if none.

    `untrusted`: as in `repair_part`. Before that, only the write flag in its superblock is cleared.

    Raises:
        BlockingIOError: a live process is writing it.
        DataError: it was not recorded by ebt, or is damaged beyond repair; it is unchanged.
    """
    try:
        if not os.access(part, os.W_OK):  # interrupted between chmod and rename
            part.chmod(0o644)
        with part.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if superblock.is_truncated(file):
                part.unlink()
                return None
            if not superblock.clear_write_flag(file):
                raise DataError(f"{part} is not an episode that ebt was recording; it is unchanged")
            if untrusted:
                sandbox.check_truncated(part)
            rows, complete = _make_consistent(part)
            if rows == 0:
                part.unlink()
                return None
            return rows, complete
    except BlockingIOError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        raise DataError(f"{part} cannot be repaired ({error}); it is unchanged") from error


def _make_consistent(part: Path) -> tuple[int, bool]:
    """Truncate every dataset to the rows that all have; returns their number and whether the episode was finished."""
    with h5py.File(part, "r+", libver=layout.LIBVER, locking=False) as file:
        attrs = attributes.read(file)
        spec, meta, datasets = attributes.spec(attrs), attributes.meta(attrs), list_datasets(file)
        check_sizes(part, datasets)
        rows = _complete_rows(part, datasets, spec, meta.kind)
        recorded = _rows_as_recorded(part, datasets, spec, meta.kind, rows)
        lengths = _lengths(datasets, spec, meta.kind, recorded)
        complete = bool(file.attrs["complete"]) and recorded == rows
        if not complete:
            attributes.set_outcome(file, Outcome.ABORTED.value, complete=False)
        resized = _truncate(datasets, lengths)
    if not resized:
        rebuild(part, lengths)
    return recorded, complete


def _complete_rows(part: Path, datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str) -> int:
    """Number of leading rows that every dataset has, up to the last one whose images are complete."""
    columns = _by_row(datasets, spec, kind).values()
    rows = min(map(layout.readable_length, columns))
    while rows and not _row_is_complete(datasets, spec.cameras, rows - 1):
        rows -= 1
    stated = min(map(len, columns))
    # A single row may be the first, partly written.
    if stated - rows > _unsynced_rows(spec) or (rows == 0 and stated > 1):
        raise DataError(f"{part} is damaged: only {rows} of its {stated} rows are complete; it is unchanged")
    return rows


def _by_row(datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str) -> dict[str, h5py.Dataset]:
    """Every dataset with one entry per row, including checksums if present."""
    sums = {path: data for path, data in datasets.items() if path == layout.CHECKSUMS.path}
    return layout.row_datasets(datasets, spec, kind) | sums


def _lengths(datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str, rows: int) -> dict[str, int]:
    """Number of entries of each dataset that belong to the first `rows` rows."""
    lengths = dict.fromkeys(_by_row(datasets, spec, kind), rows)
    for group in layout.ENTRY_GROUPS:
        entries = layout.entry_datasets(datasets, group)
        lengths |= dict.fromkeys(entries, int(np.searchsorted(layout.entry_rows(entries, group), rows)))
    for camera in spec.cameras:  # after the last frame that rows refer to, an incomplete image may follow
        offsets, sizes = (datasets[f"/images/{camera}/{name}"][:rows] for name in ("offset", "length"))
        lengths[f"/images/{camera}/bytes"] = int((offsets + sizes).max(initial=0))
        if f"/depth/{camera}/frames" in datasets:
            lengths[f"/depth/{camera}/frames"] = int(datasets[f"/depth/{camera}/index"][:rows].max(initial=-1)) + 1
    return {path: min(length, len(datasets[path])) for path, length in lengths.items()}


def _truncate(datasets: dict[str, h5py.Dataset], lengths: Mapping[str, int]) -> bool:
    """Resize the datasets; False if HDF5 cannot because the file is too damaged."""
    try:
        for path, length in lengths.items():
            if len(datasets[path]) != length:
                datasets[path].resize(length, axis=0)
    except (OSError, RuntimeError):
        return False
    return True


def _rows_as_recorded(part: Path, datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str, rows: int) -> int:
    """Number of rows whose checksums match: after a power cut, unsynced rows at the end may not.

    If entries of `/events` or `/motors` cannot be read, older rows may be affected: then all rows are checked.
    """
    synced = max(0, rows - _unsynced_rows(spec))
    lists = [data for group in layout.ENTRY_GROUPS for data in layout.entry_datasets(datasets, group).values()]
    unreadable = any(layout.readable_length(data) < len(data) for data in lists)
    mismatch = row_checksums.first_mismatch(datasets, spec, kind, 0 if unreadable else synced, rows)
    if mismatch is not None and mismatch <= synced:
        raise DataError(f"{part} is damaged: row {mismatch} of {rows} does not match its checksum; it is unchanged")
    return rows if mismatch is None else mismatch


def _unsynced_rows(spec: BenchSpec) -> int:
    """Number of rows at the end that may not have reached the disk."""
    return _UNSYNCED_ROWS if spec.lockstep else math.ceil(UNSYNCED_S * spec.rate_hz)


def _row_is_complete(datasets: dict[str, h5py.Dataset], cameras: Iterable[str], row: int) -> bool:
    """False if a failed write left zeros in the row: time does not increase, or an image is missing or invalid."""
    ticks = datasets["/time/tick"]
    if row > 0 and not ticks[row] > ticks[row - 1]:
        return False
    for camera in cameras:
        pixels = datasets[f"/images/{camera}/bytes"]
        start, length = (int(datasets[f"/images/{camera}/{name}"][row]) for name in ("offset", "length"))
        if start < 0 or not 0 <= length <= len(pixels) - start:
            return False
        end = min(codec.MARKER_BYTES, length)
        try:
            first, last = pixels[start : start + end], pixels[start + length - end : start + length]
        except (OSError, RuntimeError):
            return False
        if length > 0 and not codec.is_complete(first.tobytes(), last.tobytes()):
            return False
    return True
