"""Writes one episode file so that a kill at any moment loses at most the row being written."""

import fcntl
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.files import commit
from ebt_data.files.atomic_files import RESERVE_BYTES
from ebt_data.layout import attributes, codec, row_checksums
from ebt_data.layout import format as layout
from ebt_data.layout.column import AppendableDataset
from ebt_data.layout.frame_log import FrameLog
from ebt_data.meta import EpisodeMeta
from ebt_data.reading import sandbox
from ebt_data.step import BenchSpec, Outcome, Step

SYNC_PERIOD_S = 1.0  # a power cut loses at most this much, plus the disk's own cache


_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


class DiskFull(DataError):
    """Too little space for another row; earlier rows are kept and the episode can be committed."""


class EpisodeWriter:
    """An episode being written: `<folder>/episode_NNNN.part` until `commit`.

    The file's layout is created at the first row, when the names of privileged state are known. While it is written it
    is locked with `flock`, by which `repair` distinguishes a live recording from an interrupted one.
    """

    def __init__(
        self,
        folder: Path,
        spec: BenchSpec,
        meta: EpisodeMeta,
        quality: int | None = codec.QUALITY,
        reserve_bytes: int = RESERVE_BYTES,
        part: Path | None = None,
    ) -> None:
        """Reserve a name in `folder`, or continue `part`, which `repair.make_consistent` has made consistent.

        Raises:
            DiskFull: less than `reserve_bytes` are free.
            DataError: the folder cannot be written.
        """
        self._spec, self._meta, self._quality, self._reserve = spec, meta, quality, reserve_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_space(folder)
            self.path, self._handle = commit.reserve(folder) if part is None else (part, os.open(part, os.O_RDWR))
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        except OSError as error:
            raise DataError(f"cannot record into {folder}: {error.strerror}") from error
        self.rows = 0
        self._file: h5py.File | None = None
        self._columns: dict[str, AppendableDataset] = {}
        self._events: dict[str, AppendableDataset] = {}
        self._motors: dict[str, AppendableDataset] = {}
        self._sums: dict[str, AppendableDataset] = {}
        self._logs: dict[str, FrameLog] = {}
        self._syncer = ThreadPoolExecutor(1, "fdatasync")
        self._sync: Future[None] | None = None
        self._last_sync_s = time.monotonic()
        if part is not None:
            self._file = self._open()
            self.rows = self._columns["/time/tick"].length

    def append(self, step: Step, dropped: frozenset[str] = frozenset()) -> None:
        """Write one row; when this returns, it is in the page cache.

        For a frame without pixels, or of a camera in `dropped`, the row refers to the previous image.

        Raises:
            DiskFull: too little space; the row is not written.
            DataError: the step does not fit the bench.
            OSError, RuntimeError: HDF5 could not write. This process cannot use the file any more and should end with
                `os._exit` (HDF5 2.0 may crash when it closes such a file); `repair` recovers all earlier rows.
        """
        self._check_space(self.path.parent)
        self._check(step)
        if self._file is None:
            self._file = self._create(step)
        tick_s = step.observation.time_s
        values = self._values(step)
        for camera, log in self._logs.items():
            values |= log.row(step.observation.frames[camera], tick_s, camera in dropped)
        lists: list[dict[str, NDArray[Any]]] = []
        for event in step.events:
            entry = (
                tick_s,
                self.rows,
                truncate_text(event.kind, layout.KIND_BYTES),
                truncate_text(event.text, layout.TEXT_BYTES),
            )
            lists.append(_append(self._events, entry))
        for motor in step.observation.motors:
            reading = (self.rows, motor.joint, motor.temperature_c, motor.voltage_v, motor.error_bits)
            lists.append(_append(self._motors, reading))
        # /time/tick last: where it is present, everything that training reads is complete.
        entries = _append(self._columns, [values[path] for path in self._columns])
        new_blobs = [pixels for camera in sorted(self._logs) for pixels in self._logs[camera].new_blobs]
        _append(self._sums, [row_checksums.row_checksum(entries, lists, new_blobs)])
        self._file.flush()
        self.rows += 1
        self._sync_if_due()

    def _create(self, step: Step) -> h5py.File:
        spec = self._spec
        rows = layout.row_columns(spec, self._meta.kind, _shapes(step.observation.privileged))
        lists = [*layout.event_columns(), *layout.motor_columns()]
        frames = [c for camera, shape in spec.cameras.items() for c in layout.frame_columns(camera, shape)]
        # Built in memory and written at once: a kill leaves an empty file, a truncated one or the complete layout, which
        # `repair` can distinguish. HDF5's own writes before SWMR starts can leave any state.
        encoding = codec.QOI if self._quality is None else codec.JPEG
        image = _empty_file([*rows, *lists, *frames, layout.CHECKSUMS], spec, self._meta, encoding)
        with open(self._handle, "wb", closefd=False) as raw:
            raw.write(image)
        return self._open()

    def _open(self) -> h5py.File:
        """Open the file to append rows."""
        # No chunk cache: rows are written directly to their chunk. With it, HDF5 keeps up to a megabyte of chunks per
        # dataset, so that memory grows during an episode, and rewrites the last chunk at each flush.
        file = h5py.File(self.path, "r+", libver=layout.LIBVER, locking=False, rdcc_nbytes=0)
        file.swmr_mode = True
        rows = layout.row_columns(self._spec, self._meta.kind, _shapes(file.get("/privileged", {})))
        self._columns, self._events, self._motors, self._sums = (
            {column.path: AppendableDataset(file[column.path]) for column in columns}
            for columns in (rows, layout.event_columns(), layout.motor_columns(), [layout.CHECKSUMS])
        )
        self._logs = {name: FrameLog(file, name, shape, self._quality) for name, shape in self._spec.cameras.items()}
        return file

    def _check_space(self, folder: Path) -> None:
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < self._reserve:
            raise DiskFull(f"the disk of {folder} is full", "free some space, or record elsewhere")

    def _check(self, step: Step) -> None:
        missing = set(self._spec.cameras) - set(step.observation.frames)
        if missing:
            raise DataError(f"no frame from {', '.join(sorted(missing))}, which the bench {self._spec.name} has")
        observation, joints = step.observation, (len(self._spec.joints),)
        for array in (observation.position, observation.velocity, observation.effort, step.decision.action, step.sent):
            if array.shape != joints:
                raise DataError(f"a row has {array.shape} joints where {self._spec.name} has {joints}")

    def _values(self, step: Step) -> dict[str, Any]:
        observation, decision = step.observation, step.decision
        values: dict[str, Any] = {
            "/observations/qpos": observation.position,
            "/observations/qvel": observation.velocity,
            "/observations/effort": observation.effort,
            "/action": step.sent,
            "/action_asked": decision.action,
            "/time/tick": observation.time_s,
            "/time/read": observation.read_s,
            "/time/sent": step.sent_s,
            "/time/skipped": step.skipped,
            "/energy/energy": decision.energy,
            "/energy/score": decision.score,
            "/energy/threshold": decision.threshold,
            "/energy/steps": decision.steps_used,
            "/energy/plan_age": decision.plan_age_s,
            "/energy/latency": decision.latency_s,
            "/energy/attempt": decision.attempt,
            "/energy/actor": decision.actor.value.encode(),
            "/energy/trace": pad_trace(decision.trace),
        }
        return values | {f"/privileged/{name}": value for name, value in observation.privileged.items()}

    def _sync_if_due(self) -> None:
        now_s = time.monotonic()
        if now_s - self._last_sync_s < SYNC_PERIOD_S or (self._sync is not None and not self._sync.done()):
            return
        if self._sync is not None:
            self._sync.result()
        # In a thread: a slow disk can take seconds; meanwhile rows are written to the page cache.
        self._sync = self._syncer.submit(_fdatasync, self._handle)
        self._last_sync_s = now_s

    @property
    def last_tick_s(self) -> float:
        """When the last row's tick began, on the bench clock; minus infinity before the first."""
        if self._file is None or self.rows == 0:
            return -np.inf
        return float(self._file["/time/tick"][self.rows - 1])

    def commit(self, outcome: Outcome, *, complete: bool = True) -> Path:
        """Close, sync, hash and rename the episode, and make it read-only; returns its final path.

        Raises:
            DataError: it has no rows; the file is removed.
        """
        self.end(outcome, complete=complete)
        return self.seal()

    def end(self, outcome: Outcome, *, complete: bool = True) -> None:
        """Write the outcome and close the file; call `seal` next, which may run in a thread.

        Raises:
            DataError: it has no rows; the file is removed.
        """
        try:
            self._close(outcome, complete=complete)
            if self.rows == 0:
                self.path.unlink()
                raise DataError(f"{self.path.stem} has no rows, so there is nothing to keep")
        except BaseException:
            os.close(self._handle)
            raise

    def seal(self) -> Path:
        """Sync, hash and rename the closed file, and make it read-only; returns its final path."""
        try:
            final = commit.commit(self.path)
            sandbox.mark_trusted(final)  # this process wrote it, so no child needs to read it first
            return final
        finally:
            os.close(self._handle)  # releases the lock

    def discard(self) -> Path | None:
        """Close the episode and move it to the trash; None if it had no rows."""
        try:
            self._close(Outcome.ABORTED, complete=False)
            if self.rows == 0:
                self.path.unlink()
                return None
            return commit.discard(self.path)
        finally:
            os.close(self._handle)

    def abandon(self) -> None:
        """Close the file without committing it; `repair` recovers the `.part` and reports it to the user."""
        try:
            self._close(Outcome.ABORTED, complete=False)
        finally:
            os.close(self._handle)

    def _close(self, outcome: Outcome, *, complete: bool) -> None:
        self._syncer.shutdown()
        if self._file is not None:
            attributes.set_outcome(self._file, outcome.value, complete)
            self._file.flush()
            self._file.close()
            self._file = None


def _shapes(privileged: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape by name, of a step's arrays or a file's datasets, whose first axis is the row."""
    return {
        name: tuple(value.shape[1:]) if isinstance(value, h5py.Dataset) else np.shape(value)
        for name, value in privileged.items()
    }


def _append(to: Mapping[str, AppendableDataset], entry: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Append one value to each dataset, in order; returns them by path as stored."""
    return {path: growing.append(value) for (path, growing), value in zip(to.items(), entry, strict=True)}


def _empty_file(columns: list[layout.Column], spec: BenchSpec, meta: EpisodeMeta, encoding: str) -> bytes:
    """An HDF5 file with every dataset and attribute and no row."""
    with h5py.File("image", "w", driver="core", backing_store=False, libver=layout.LIBVER) as file:
        for column in columns:
            layout.create_dataset(file, column)
        attributes.write(file, spec, meta, encoding)
        file.flush()
        image: bytes = file.id.get_file_image()
        return image


def truncate_text(text: str, length: int) -> bytes:
    """Encode to at most `length` bytes of UTF-8; a truncated text ends in ` [cut]`."""
    full = text.encode(errors="replace")
    if len(full) <= length:
        return full
    suffix = b" [cut]"
    return full[: length - len(suffix)].decode(errors="ignore").encode() + suffix


def pad_trace(trace: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """`[TRACE]` float32, NaN padded; a longer trace is subsampled evenly and keeps its first and last energy."""
    row = np.full(layout.TRACE, np.nan, np.float32)
    values = np.asarray(trace, np.float32)
    if len(values) > layout.TRACE:
        values = values[np.linspace(0, len(values) - 1, layout.TRACE).round().astype(int)]
    row[: len(values)] = values
    return row
