"""Turns what a killed recording left behind into an episode again."""

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
from ebt_data.layout.hdf5 import check_claims, tree
from ebt_data.reading import sandbox
from ebt_data.recording import superblock
from ebt_data.recording.rebuild import rebuild
from ebt_data.step import BenchSpec, Outcome

UNSYNCED_S = 5.0
"""How much at the end of a recording may not have reached the disk: it is synced every second."""
_UNSYNCED_ROWS = 5000
"""The same in rows where time is simulated and runs as fast as the machine."""


@dataclass(frozen=True)
class Repaired:
    """An episode that was cut off and is whole again."""

    path: Path
    rows: int
    complete: bool
    """True where only the last rename was missing."""


def repair(folder: Path) -> list[str]:
    """Repair every cut-off recording in a folder; returns a sentence for the user about each.

    A recording that a live process is writing is left alone. One that cannot be repaired is left unchanged and reported.
    """
    said = []
    for part in sorted(folder.glob(f"*{commit.PART}")):
        try:
            repaired = repair_part(part, foreign=True)
        except (BlockingIOError, FileNotFoundError):  # another process writes it, or has just repaired it
            continue
        except DataError as error:
            said.append(str(error))
            continue
        if repaired is None:
            said.append(f"{part.name} was cut off before its first row; there was nothing to keep.")
        elif repaired.complete:
            said.append(f"{repaired.path.name} was cut off after its last row; it is whole, with {repaired.rows} rows.")
        else:
            said.append(f"{repaired.path.name} was cut off; rows kept: {repaired.rows}, marked as aborted.")
    return said


def repair_part(part: Path, *, foreign: bool = False) -> Repaired | None:
    """Repair one `.part` in place and commit it; None where it held no row and was removed.

    `foreign`: its origin is unknown, so a child process tries it first.

    Raises:
        BlockingIOError: a live process is writing it.
        DataError: it is not a recording of ours, or is damaged otherwise; it is left as it is.
    """
    found = level(part, foreign=foreign)
    return None if found is None else Repaired(commit.commit(part), *found)


def level(part: Path, *, foreign: bool = False) -> tuple[int, bool] | None:
    """Make one `.part` whole in place: how many rows, and whether the episode had been ended; None where it had no row.

    `foreign`: as in `repair_part`. Before that trial only the mark that a process writes it is taken out of its head.

    Raises:
        BlockingIOError: a live process is writing it.
        DataError: it is not a recording of ours, or is damaged otherwise; it is left as it is.
    """
    try:
        if not os.access(part, os.W_OK):  # cut off between protecting and naming it
            part.chmod(0o644)
        with part.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if superblock.is_cut(file):
                part.unlink()
                return None
            if not superblock.settle(file):
                raise DataError(f"{part} is not an episode that ebt was recording; it is left as it is")
            if foreign:
                sandbox.endure(part)
            rows, complete = _level(part)
            if rows == 0:
                part.unlink()
                return None
            return rows, complete
    except BlockingIOError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        raise DataError(f"{part} cannot be repaired ({error}); it is left as it is") from error


def _level(part: Path) -> tuple[int, bool]:
    """Cut every dataset of the format to the rows that all have; how many, and whether the episode had been ended."""
    with h5py.File(part, "r+", libver=layout.LIBVER, locking=False) as file:
        attrs = attributes.read(file)
        spec, meta, datasets = attributes.spec(attrs), attributes.meta(attrs), tree(file)
        check_claims(part, datasets)
        rows = _whole_rows(part, datasets, spec, meta.kind)
        recorded = _as_recorded(part, datasets, spec, meta.kind, rows)
        lengths = _lengths(datasets, spec, meta.kind, recorded)
        complete = bool(file.attrs["complete"]) and recorded == rows
        if not complete:
            attributes.mark(file, Outcome.ABORTED.value, complete=False)
        is_cut = _cut(datasets, lengths)
    if not is_cut:
        rebuild(part, lengths)
    return recorded, complete


def _whole_rows(part: Path, datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str) -> int:
    """How many of the first rows every dataset has, up to the last whose pictures are there."""
    columns = _by_row(datasets, spec, kind).values()
    rows = min(map(layout.readable, columns))
    while rows and not _is_whole(datasets, spec.cameras, rows - 1):
        rows -= 1
    claimed = min(map(len, columns))
    if claimed - rows > _unsynced_rows(spec) or (rows == 0 and claimed > 1):  # one may be the first, being written
        raise DataError(f"{part} is damaged: only {rows} of its {claimed} rows are whole; it is left as it is")
    return rows


def _by_row(datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str) -> dict[str, h5py.Dataset]:
    """Every dataset with one entry a row, their sums as well where there are any."""
    sums = {path: data for path, data in datasets.items() if path == layout.SUMS.path}
    return layout.by_row(datasets, spec, kind) | sums


def _lengths(datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str, rows: int) -> dict[str, int]:
    """How many entries of each dataset of the format belong to so many rows."""
    found = dict.fromkeys(_by_row(datasets, spec, kind), rows)
    for group in layout.LISTS:
        entries = layout.entries(datasets, group)
        found |= dict.fromkeys(entries, int(np.searchsorted(layout.entry_rows(entries, group), rows)))
    for camera in spec.cameras:  # after the last frame that rows refer to, an incomplete image may follow
        offsets, lengths = (datasets[f"/images/{camera}/{name}"][:rows] for name in ("offset", "length"))
        found[f"/images/{camera}/bytes"] = int((offsets + lengths).max(initial=0))
        if f"/depth/{camera}/frames" in datasets:
            found[f"/depth/{camera}/frames"] = int(datasets[f"/depth/{camera}/index"][:rows].max(initial=-1)) + 1
    return {path: min(length, len(datasets[path])) for path, length in found.items()}


def _cut(datasets: dict[str, h5py.Dataset], lengths: Mapping[str, int]) -> bool:
    """False where HDF5 cannot find its way well enough for that."""
    try:
        for path, length in lengths.items():
            if len(datasets[path]) != length:
                datasets[path].resize(length, axis=0)
    except (OSError, RuntimeError):
        return False
    return True


def _as_recorded(part: Path, datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str, rows: int) -> int:
    """How many of the rows are what was recorded: a power cut may leave others at the end, where nothing was synced.

    Where entries of a list cannot be found, rows from long before may lack theirs: then all are looked at.
    """
    synced = max(0, rows - _unsynced_rows(spec))
    lists = [data for group in layout.LISTS for data in layout.entries(datasets, group).values()]
    torn = any(layout.readable(data) < len(data) for data in lists)
    wrong = row_checksums.first_wrong(datasets, spec, kind, 0 if torn else synced, rows)
    if wrong is not None and wrong <= synced:
        raise DataError(f"{part} is damaged: row {wrong} of {rows} is not what was recorded; it is left as it is")
    return rows if wrong is None else wrong


def _unsynced_rows(spec: BenchSpec) -> int:
    """How many rows at the end may not have reached the disk."""
    return _UNSYNCED_ROWS if spec.lockstep else math.ceil(UNSYNCED_S * spec.rate_hz)


def _is_whole(datasets: dict[str, h5py.Dataset], cameras: Iterable[str], row: int) -> bool:
    """False where a failed write left zeros in the row: time does not increase, or an image is missing or invalid."""
    ticks = datasets["/time/tick"]
    if row > 0 and not ticks[row] > ticks[row - 1]:
        return False
    for camera in cameras:
        pixels = datasets[f"/images/{camera}/bytes"]
        start, length = (int(datasets[f"/images/{camera}/{name}"][row]) for name in ("offset", "length"))
        if start < 0 or not 0 <= length <= len(pixels) - start:
            return False
        end = min(codec.LONGEST_END, length)
        try:
            first, last = pixels[start : start + end], pixels[start + length - end : start + length]
        except (OSError, RuntimeError):
            return False
        if length > 0 and not codec.is_whole(first.tobytes(), last.tobytes()):
            return False
    return True
