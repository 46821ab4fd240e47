"""Reads an episode file, which may be damaged, untrusted or still being written."""

import contextlib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import hdf5plugin  # noqa: F401  registers the depth filter
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.files import checksums, commit
from ebt_data.layout import attributes, codec
from ebt_data.layout import format as layout
from ebt_data.layout.hdf5 import check_sizes, list_datasets
from ebt_data.reading.labels import Labels, read_labels
from ebt_data.reading.opening import one_line, open_file
from ebt_data.step import PAUSE, Depth, Image, Outcome

_STATE_LIMIT = 10_000  # numbers in one privileged state
_ROW_LIMIT = 10_000_000  # a day at 100 Hz is 8.6 million
_ENTRY_LIMITS = (1000, 4)  # per file, plus per row; a tick that is late, limited and marked has three
_COLUMNS_LIMIT = 4 << 30  # bytes of all datasets that are read at once
_PIECE = 1 << 26  # bytes


@dataclass(frozen=True)
class EpisodeEvent:
    """An entry of `/events`."""

    time_s: float
    row: int
    kind: str
    text: str


class Episode:
    """One recorded episode, read lazily; T rows, J joints.

    It can be pickled (unpickling opens the file again) and used in a `with` block. Texts are returned as stored, of
    limited length: escape them before printing.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and check its structure; data are read on access.

        Raises:
            DataError: missing, not HDF5, truncated, not an episode, or of a format that this version does not support.
        """
        self.path = Path(path)
        self._file = open_file(self.path)
        try:
            with self._reading():
                self._load()
        except DataError:
            self._file.close()
            raise

    def _load(self) -> None:
        self.attrs = attributes.read(self._file)
        self.spec = attributes.spec(self.attrs)
        self.meta = attributes.meta(self.attrs)
        self.outcome = Outcome(str(self.attrs["outcome"]))
        self.complete = bool(self.attrs["complete"])
        """False if the recording was interrupted and repaired: rows may be missing at the end."""
        self._data = self._checked(list_datasets(self._file))
        # In a file that is being written, or was interrupted, some datasets may have one row more than others.
        self._rows = min(map(len, layout.row_datasets(self._data, self.spec, self.meta.kind).values()))
        lists = [len(data) for path, data in self._data.items() if path.startswith(layout.ENTRY_GROUPS)]
        if self._rows > _ROW_LIMIT or max(lists) > _ENTRY_LIMITS[0] + _ENTRY_LIMITS[1] * self._rows:
            raise DataError(f"{self.path} states {self._rows} rows and {max(lists)} events, more than any episode")
        size = sum(data.nbytes for path, data in self._data.items() if not path.startswith(("/images/", "/depth/")))
        if size > _COLUMNS_LIMIT:
            raise DataError(f"{self.path} states {size >> 30} GiB without images, more than any episode")

    def _checked(self, datasets: dict[str, h5py.Dataset]) -> dict[str, h5py.Dataset]:
        """The datasets of this format, checked; others are ignored."""
        expected = layout.row_columns(self.spec, self.meta.kind, {})
        expected += layout.event_columns()
        motors = layout.motor_columns()
        if any(column.path in datasets for column in motors):  # absent if the recorder did not read them
            expected += motors
        for name, camera in self.spec.cameras.items():
            expected += layout.frame_columns(name, camera)
        missing = [column.path for column in expected if column.path not in datasets]
        if missing:
            raise DataError(f"{self.path} lacks {', '.join(missing[:3])}{' and more' if len(missing) > 3 else ''}")
        for column in expected:
            data = datasets[column.path]
            if not data.ndim or data.shape[1:] != column.tail or data.dtype.str != np.dtype(column.dtype).str:
                raise DataError(
                    f"{self.path} has {data.shape} {data.dtype} in {column.path}, not {(*column.tail,)} per row"
                )
        states = {path: data for path, data in datasets.items() if path.startswith(layout.PRIVILEGED)}
        for path, data in states.items():
            if not data.ndim or data.dtype.str != "<f4" or math.prod(data.shape[1:]) > _STATE_LIMIT:
                raise DataError(f"{self.path} has {data.shape} {data.dtype} in {path}, which is not a privileged state")
        return {column.path: datasets[column.path] for column in expected} | states

    def __len__(self) -> int:
        return self._rows

    @cached_property
    def labels(self) -> Labels:
        """Labels added after recording."""
        return read_labels(self.path)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes entered while recording, then those added later."""
        return (*(event.text for event in self.events if event.kind == "note"), *self.labels.notes)

    @property
    def effective_outcome(self) -> Outcome:
        """The outcome of the newest label, else the recorded one."""
        return self.labels.outcome or self.outcome

    def is_eligible(self, outcomes: Collection[Outcome] = (Outcome.SUCCESS,), *, incomplete: bool = False) -> bool:
        """True if its outcome is one of these and it is not excluded; a truncated one needs a label or `incomplete`."""
        usable = self.complete or incomplete or self.labels.outcome is not None
        return usable and not self.labels.excluded and self.effective_outcome in outcomes

    @property
    def trimmed(self) -> slice:
        """The rows used for training.

        Raises:
            DataError: the trim is outside the episode.
        """
        if self.labels.trim is None:
            return slice(0, self._rows)
        first, after = self.labels.trim
        if after > self._rows:
            raise DataError(
                f"{self.path} is trimmed to the rows {first} to {after}, and has {self._rows}",
                f"ebt label {self.path} --undo",
            )
        return slice(first, after)

    @cached_property
    def qpos(self) -> NDArray[np.float32]:
        """[T, J] rad, measured."""
        return self._rows_of("/observations/qpos")

    @cached_property
    def qvel(self) -> NDArray[np.float32]:
        """[T, J] rad/s, measured."""
        return self._rows_of("/observations/qvel")

    @cached_property
    def effort(self) -> NDArray[np.float32]:
        """[T, J] A, or a fraction of stall on motors without a current sensor."""
        return self._rows_of("/observations/effort")

    @cached_property
    def action(self) -> NDArray[np.float32]:
        """[T, J] rad, as sent after limits."""
        return self._rows_of("/action")

    @cached_property
    def action_asked(self) -> NDArray[np.float32]:
        """[T, J] rad, as the agent requested, before limits."""
        return self._rows_of("/action_asked")

    @cached_property
    def time(self) -> dict[str, NDArray[Any]]:
        """`tick`, `read`, `sent` [T] s on the bench clock, and `skipped` [T] ticks missed since the previous row."""
        return {name: self._rows_of(f"/time/{name}") for name in ("tick", "read", "sent", "skipped")}

    def camera_time(self, camera: str) -> dict[str, NDArray[Any]]:
        """[T] each: `device`, `arrival`, `age` s; `number`; `domain`; `repeated`, `dropped` (by the frame gate)."""
        self._check_camera(camera)
        names = ("device", "domain", "arrival", "number", "age", "repeated", "dropped")
        columns = {name: self._rows_of(f"/time/{camera}/{name}") for name in names}
        columns["domain"] = np.char.decode(columns["domain"], "utf-8", "replace")
        return columns | {name: columns[name].astype(bool) for name in ("repeated", "dropped")}

    @cached_property
    def energy(self) -> dict[str, NDArray[Any]] | None:
        """[T] each: `energy`, `score`, `threshold`, `steps`, `plan_age`, `latency` s, `attempt`, `actor`; `trace` [T, K].

        None for a demonstration.
        """
        columns = self._group("/energy/")
        if not columns:
            return None
        columns["actor"] = np.char.decode(columns["actor"], "utf-8", "replace")
        return columns

    @cached_property
    def privileged(self) -> dict[str, NDArray[np.float32]]:
        """[T, ...] by name: privileged state of the twin."""
        return self._group(layout.PRIVILEGED)

    @cached_property
    def events(self) -> list[EpisodeEvent]:
        """In order of time."""
        with self._reading():
            columns = [self._data[f"/events/{name}"][:] for name in ("time", "row", "kind", "text")]
        return [
            EpisodeEvent(float(time_s), int(row), kind.decode(errors="replace"), text.decode(errors="replace"))
            for time_s, row, kind, text in zip(*columns, strict=False)
            if row < self._rows
        ]

    @cached_property
    def pauses(self) -> list[int]:
        """The rows that follow a pause: nothing was recorded between them and the previous row."""
        with self._reading():
            kinds, rows = (self._data[f"/events/{name}"][:] for name in ("kind", "row"))
        rows = rows[: len(kinds)][kinds[: len(rows)] == PAUSE.encode()]
        return [int(row) for row in np.unique(rows[(rows > 0) & (rows < self._rows)])]

    @cached_property
    def segments(self) -> list[slice]:
        """The rows used for training, split at pauses: within each segment, rows are consecutive ticks."""
        kept = self.trimmed
        bounds = [kept.start, *(row for row in self.pauses if kept.start < row < kept.stop), kept.stop]
        first, *later = (slice(*pair) for pair in pairwise(bounds))
        # A single row after a pause only carries notes; the arm is held.
        return [first, *(segment for segment in later if segment.stop - segment.start > 1)]

    @property
    def training_rows(self) -> NDArray[np.int64]:
        """[N] rows: those of all segments."""
        return np.concatenate([np.arange(segment.start, segment.stop) for segment in self.segments])

    @cached_property
    def motors(self) -> dict[str, NDArray[Any]]:
        """[M] each, one per motor status read: `row`, `joint` (its index), `temperature` °C, `voltage` V, `error` bits.

        Empty if no status was read, or the group is missing.
        """
        columns = layout.motor_columns()
        with self._reading():
            values_of = [self._data[column.path][:] if column.path in self._data else [] for column in columns]
        count = min(map(len, values_of))  # while a file is being written, some may have one more
        valid = np.asarray(values_of[0][:count]) < self._rows
        names = (column.path.removeprefix("/motors/") for column in columns)
        return {
            name: np.asarray(values, column.dtype)[:count][valid]
            for name, values, column in zip(names, values_of, columns, strict=True)
        }

    @cached_property
    def _frames(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        return {
            camera: (self._rows_of(f"/images/{camera}/offset"), self._rows_of(f"/images/{camera}/length"))
            for camera in self.spec.cameras
        }

    def blob(self, camera: str, row: int) -> bytes:
        """The encoded image that a row refers to, see `codec.py`.

        Raises:
            DataError: the row has no image (its frame was dropped and there was none before), or is out of range.
        """
        self._check_camera(camera)
        offset, length = (int(column[row]) for column in self._frames[camera])
        with self._reading():
            data = self._data[f"/images/{camera}/bytes"]
            if not 0 < length <= codec.MAX_BYTES or offset < 0 or offset + length > len(data):
                raise DataError(f"{self.path} has no image of {camera} in row {row}")
            return bytes(data[offset : offset + length].tobytes())

    def image(self, camera: str, row: int) -> Image:
        """[H, W, 3] RGB: the image of a row."""
        blob = self.blob(camera, row)
        spec = self.spec.cameras[camera]
        try:
            return codec.decode(blob, (spec.height, spec.width))
        except ValueError as error:
            raise DataError(f"{self.path} has a damaged image of {camera} in row {row} ({error})") from error

    def image_index(self, camera: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first row [P] of each distinct image, and for every row [T] an index into them; -1 if none."""
        self._check_camera(camera)
        offsets, lengths = self._frames[camera]
        changed = (np.diff(offsets, prepend=-1) != 0) | (np.diff(lengths, prepend=-1) != 0)
        new = (lengths > 0) & changed
        return np.flatnonzero(new), np.cumsum(new) - 1

    def iter_images(self, camera: str) -> Iterator[Image | None]:
        """For each row [H, W, 3] RGB, or None if its image is that of the previous row; each is decoded once."""
        self._check_camera(camera)
        offsets = self._frames[camera][0]
        for row in range(self._rows):
            yield None if row and offsets[row] == offsets[row - 1] else self.image(camera, row)

    def images(self, camera: str) -> NDArray[np.uint8]:
        """[T, H, W, 3] RGB: every row's image."""
        self._check_camera(camera)
        spec = self.spec.cameras[camera]
        stack = np.empty((self._rows, spec.height, spec.width, 3), np.uint8)
        for row, image in enumerate(self.iter_images(camera)):
            stack[row] = stack[row - 1] if image is None else image
        return stack

    def depth(self, camera: str, row: int) -> Depth | None:
        """[H, W] uint16 counts of `CameraSpec.depth_unit_m`; None if the row's frame has no depth."""
        self._check_camera(camera)
        if self.spec.cameras[camera].depth_unit_m is None:
            return None
        index = int(self._rows_of(f"/depth/{camera}/index")[row])
        with self._reading():
            return None if index < 0 else np.asarray(self._data[f"/depth/{camera}/frames"][index], np.uint16)

    def verify(self) -> bool | None:
        """True if the file still has the sha256 recorded at commit, None if none was recorded."""
        digest = checksums.recorded(self.path.parent).get(self.path.name)
        return None if digest is None else digest == checksums.sha256(self.path)

    def read_through(self) -> None:
        """Read all data once, in pieces, and check the values.

        Raises:
            DataError: something cannot be read, or has an invalid value.
        """
        self._check_values()
        check_sizes(self.path, self._data)
        with self._reading():
            for data in self._data.values():
                step = max(1, _PIECE // max(1, data.nbytes // max(1, len(data)))) if data.ndim else 1
                for first in range(0, len(data) if data.ndim else 1, step):
                    data[first : first + step] if data.ndim else data[()]

    def _check_values(self) -> None:
        """Check that training data and times are finite, time increases, and every image is present."""
        if not self._rows:
            return
        paths = [path for path in self._data if path.startswith(("/observations/", "/action", "/privileged/"))]
        for path in (*paths, "/time/tick", "/time/read", "/time/sent"):
            finite = np.isfinite(self._rows_of(path)).reshape(self._rows, -1).all(axis=1)
            if not finite.all():
                raise DataError(f"{self.path} has a value that is not finite in {path}, row {int(np.argmin(finite))}")
        if (np.diff(self._rows_of("/time/tick")) <= 0).any():
            raise DataError(f"{self.path} has rows in the wrong order: /time/tick does not increase")
        for camera, (offset, length) in self._frames.items():
            outside = (length > 0) & ((offset < 0) | (offset > len(self._data[f"/images/{camera}/bytes"]) - length))
            if outside.any() or (length < 0).any():
                raise DataError(f"{self.path} has no image of {camera} in row {int(np.argmax(outside | (length < 0)))}")

    def close(self) -> None:
        """Close the file; data read before remain available."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.path,)

    def _check_camera(self, camera: str) -> None:
        if camera not in self.spec.cameras:
            raise DataError(f"{self.path} has no camera {camera!r}; it has {', '.join(self.spec.cameras) or 'none'}")

    def _group(self, group: str) -> dict[str, NDArray[Any]]:
        paths = sorted(path for path in self._data if path.startswith(group))
        return {path.removeprefix(group): self._rows_of(path) for path in paths}

    def _rows_of(self, path: str) -> NDArray[Any]:
        with self._reading():
            return np.asarray(self._data[path][: self._rows])

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Convert an exception of h5py on a damaged file to a DataError."""
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, ArithmeticError) as error:
            raise DataError(f"{self.path} is damaged: {one_line(error)}") from error


def list_episodes(folder: Path) -> list[Path]:
    """Every committed episode in a folder, by name.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", f"ebt collect --out {folder}")
    return sorted(path for path in folder.glob(f"*{commit.SUFFIX}") if path.is_file())
