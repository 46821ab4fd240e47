"""The layout of an episode file: its datasets, their types and chunks.

T rows (ticks), J joints, K = `TRACE` energies. Row t means: observed, then sent. Times are float64 seconds on the bench
clock. There is no `/observations/images` on purpose: a loader that expects ALOHA's arrays fails with an
error, and `ebt convert` writes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.step import BenchSpec, CameraSpec

FORMAT = 1
TRACE = 128  # energies kept per plan; a longer descent is subsampled evenly, first and last energy included
KIND_BYTES = 32
TEXT_BYTES = 256
# HDF5 1.10 is the oldest library that reads SWMR files; newer object versions would only exclude older readers.
LIBVER = ("v110", "v110")

ENTRY_GROUPS = ("/events", "/motors")
"""Groups of datasets with one entry per event; `row` in each is its row."""
PRIVILEGED = "/privileged/"
"""Prefix of the paths of privileged state, e.g. an object's pose."""
_ROWS = 128  # rows per chunk: a flush rewrites the last chunk, so it should stay small (a few kB)
_RESERVED = ("tick", "read", "sent", "skipped")  # names in /time, where each camera has a group
_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


@dataclass(frozen=True)
class Column:
    """A dataset with one entry per row (or per event, byte or frame)."""

    path: str
    dtype: Any
    tail: tuple[int, ...] = ()
    """Shape of one entry."""
    chunk: int = _ROWS
    """Entries per chunk."""
    bitshuffle: bool = False


def text_dtype(length: int) -> Any:
    """Fixed-length UTF-8: variable-length strings are not safe to append under SWMR."""
    return h5py.string_dtype("utf-8", length)


def row_columns(spec: BenchSpec, kind: str, privileged: Mapping[str, tuple[int, ...]]) -> list[Column]:
    """Every dataset with one entry per row; `privileged` has shapes by name. The last one is `/time/tick`.

    Raises:
        DataError: a camera or privileged name that cannot be a path in the file.
    """
    for name in (*spec.cameras, *privileged):
        if not _NAME.fullmatch(name) or name in _RESERVED or (name in privileged and "/" in name):
            raise DataError(f"{name!r} cannot name a camera or an object: use letters, digits, _ and -")
    joints = (len(spec.joints),)
    columns = [Column(f"/observations/{name}", np.float32, joints) for name in ("qpos", "qvel", "effort")]
    columns += [Column(f"/{name}", np.float32, joints) for name in ("action", "action_asked")]
    columns += [Column(f"/privileged/{name}", np.float32, shape) for name, shape in privileged.items()]
    for camera, camera_spec in spec.cameras.items():
        columns += _camera_columns(camera, camera_spec)
    if kind == "rollout":
        columns += _energy_columns()
    columns += [Column("/time/read", np.float64), Column("/time/sent", np.float64), Column("/time/skipped", np.int64)]
    return [*columns, Column("/time/tick", np.float64)]


def _camera_columns(camera: str, spec: CameraSpec) -> list[Column]:
    columns = [Column(f"/images/{camera}/{name}", np.int64) for name in ("offset", "length")]
    columns += [Column(f"/time/{camera}/{name}", np.float64) for name in ("device", "arrival", "age")]
    columns += [Column(f"/time/{camera}/{name}", np.uint8) for name in ("repeated", "dropped")]
    columns += [Column(f"/time/{camera}/number", np.int64), Column(f"/time/{camera}/domain", text_dtype(16))]
    if spec.depth_unit_m is not None:
        columns.append(Column(f"/depth/{camera}/index", np.int64))
    return columns


def _energy_columns() -> list[Column]:
    columns = [
        Column(f"/energy/{name}", np.float64) for name in ("energy", "score", "threshold", "plan_age", "latency")
    ]
    columns += [Column(f"/energy/{name}", np.int32) for name in ("steps", "attempt")]
    return [*columns, Column("/energy/actor", text_dtype(8)), Column("/energy/trace", np.float32, (TRACE,), 32)]


def frame_columns(camera: str, spec: CameraSpec) -> list[Column]:
    """The datasets that are appended to only for a new frame: encoded images, and depth if the camera has it."""
    # About four JPEG frames per chunk: a flush rewrites the last one.
    chunk = min(max(spec.height * spec.width, 1 << 16), 1 << 19)
    columns = [Column(f"/images/{camera}/bytes", np.uint8, (), chunk)]
    if spec.depth_unit_m is not None:
        columns.append(Column(f"/depth/{camera}/frames", np.uint16, (spec.height, spec.width), 1, bitshuffle=True))
    return columns


def event_columns() -> list[Column]:
    """One entry per event: time (the row's tick), row, kind and text."""
    return [
        Column("/events/time", np.float64),
        Column("/events/row", np.int64),
        Column("/events/kind", text_dtype(KIND_BYTES), (), 32),
        Column("/events/text", text_dtype(TEXT_BYTES), (), 32),
    ]


def motor_columns() -> list[Column]:
    """One entry per motor status read: row, joint and values."""
    return [
        Column("/motors/row", np.int64),
        Column("/motors/joint", np.int16),
        Column("/motors/temperature", np.float32),
        Column("/motors/voltage", np.float32),
        Column("/motors/error", np.uint8),
    ]


def readable_length(data: h5py.Dataset) -> int:
    """Number of leading entries that HDF5 can read: a power cut may have damaged the chunk index."""
    length = len(data)
    chunk = data.chunks[0] if data.chunks else max(length, 1)
    ends: list[int] = [length, *range(length - length % chunk, 0, -chunk)]
    for count in ends:
        try:
            data[:count]
        except (OSError, RuntimeError):
            continue
        return count
    return 0


def entry_datasets(datasets: Mapping[str, h5py.Dataset], group: str) -> dict[str, h5py.Dataset]:
    """The datasets of one of `ENTRY_GROUPS`; empty if the file lacks the group.

    Raises:
        KeyError: the file has only some of them.
    """
    columns = event_columns() if group == "/events" else motor_columns()
    present = any(column.path in datasets for column in columns)
    return {column.path: datasets[column.path] for column in columns} if present else {}


def entry_rows(datasets: Mapping[str, h5py.Dataset], group: str) -> NDArray[np.int64]:
    """[E] the row of each entry that all datasets of the group have, up to the first that a power cut zeroed."""
    count = min(map(readable_length, datasets.values()), default=0)
    rows = np.asarray(datasets[f"{group}/row"][:count] if count else [], np.int64)
    decreasing = np.flatnonzero(np.diff(rows) < 0)
    return rows[: decreasing[0] + 1] if len(decreasing) else rows


CHECKSUMS = Column("/sums/row", np.uint32)
"""One entry per row, see `row_checksums.py`; absent from episodes of recorders without checksums."""


def create_dataset(file: h5py.File, column: Column) -> h5py.Dataset:
    """Create an empty dataset without an upper limit on its length."""
    return file.create_dataset(
        column.path,
        shape=(0, *column.tail),
        maxshape=(None, *column.tail),
        chunks=(column.chunk, *column.tail),
        dtype=column.dtype,
        **(hdf5plugin.Bitshuffle(cname="lz4") if column.bitshuffle else {}),
    )


def row_datasets(datasets: dict[str, h5py.Dataset], spec: BenchSpec, kind: str) -> dict[str, h5py.Dataset]:
    """The datasets of the format with one entry per row.

    Raises:
        DataError: a camera's name cannot be a path.
        KeyError: one is missing.
    """
    known = {column.path: datasets[column.path] for column in row_columns(spec, kind, {})}
    return known | {path: data for path, data in datasets.items() if path.startswith(PRIVILEGED)}
