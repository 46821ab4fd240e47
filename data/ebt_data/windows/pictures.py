"""One camera's images of many episodes by row, each kept once however many rows refer to it. Numpy only.

    ways        what it costs
    memory      decoded and resized when opened, by threads; then all of it is in memory
    cache       the same once and for all, into `.shrunk` beside the episodes, from where the system's page cache takes it
    files       nothing at first; every image is decoded on each access

read(way, path, camera, size) -> Part      of one episode
Pictures(parts)[rows] -> [*rows.shape, H, W, 3] uint8
"""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.files.atomic_files import make_ready, try_remove
from ebt_data.files.commit import sync
from ebt_data.reading.episode import Episode
from ebt_data.step import Image
from ebt_data.windows.resize import shrink

Way = Literal["memory", "cache", "files"]
Size = tuple[int, int]
FOLDER = ".shrunk"
SHRINKING = 1
"""Of `shrink` and of JPEG decoding: another number where they give other pixels."""
OPEN = 64
"""Episodes that `files` keeps open at once, in each process."""
_BLOCK = 64
"""Images decoded in parallel; they are in memory at full size until they are resized."""


class Stack(Protocol):
    """An episode's distinct pictures; an array is one."""

    def __getitem__(self, places: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """[n, H, W, 3] of places [n]."""


@dataclass(frozen=True)
class Part:
    """Of one episode."""

    stack: Stack
    place: NDArray[np.int64]
    """[T] which picture of the stack a row shows."""
    shape: Size


class Pictures:
    """Of all episodes, one behind the other, as their rows are."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._stacks = [part.stack for part in parts]
        self._part = np.repeat(np.arange(len(parts)), [len(part.place) for part in parts])
        self._place = np.concatenate([part.place for part in parts])
        self.shape = (len(self._place), *parts[0].shape, 3)

    def __len__(self) -> int:
        return len(self._place)

    def __getitem__(self, rows: NDArray[np.int64] | slice | int) -> NDArray[np.uint8]:
        """The images of rows [...]: [..., H, W, 3]."""
        wanted = np.arange(len(self))[rows]
        flat = wanted.ravel()
        found = np.empty((len(flat), *self.shape[1:]), np.uint8)
        order = np.argsort(self._part[flat], kind="stable")
        bounds = np.flatnonzero(np.diff(self._part[flat[order]])) + 1
        for some in np.split(order, bounds) if len(flat) else ():
            found[some] = self._stacks[self._part[flat[some[0]]]][self._place[flat[some]]]
        return found.reshape(*wanted.shape, *self.shape[1:])


def read(way: Way, episode: Episode, camera: str, size: Size | None) -> Part:
    """One camera of an open episode, trimmed as labelled; `size` is (height, width) to shrink to, None as recorded.

    Raises:
        DataError: a picture cannot be decoded, or a row shows none.
    """
    spec = episode.spec.cameras[camera]
    shape = size or (spec.height, spec.width)
    rows, place = episode.shown(camera)
    kept = place[episode.training_rows]
    if (kept < 0).any():
        row = int(episode.training_rows[np.argmin(kept)])
        raise DataError(f"{episode.path} has no picture of {camera} in row {row}")
    stack: Stack
    if way == "files":
        stack = Decoded(episode.path, camera, rows, shape)
    elif way == "cache":
        stack = _cached(episode, camera, rows, shape)
    else:
        stack = np.empty((len(rows), *shape, 3), np.uint8)
        for first, block in _decoded(episode, camera, rows, shape):
            stack[first : first + len(block)] = block
    return Part(stack, kept, shape)


class Decoded:
    """An episode's images, read on access."""

    def __init__(self, path: Path, camera: str, rows: NDArray[np.int64], shape: Size) -> None:
        self._path, self._camera, self._rows, self._shape = path, camera, rows, shape

    def __getitem__(self, places: NDArray[np.int64], /) -> NDArray[np.uint8]:
        with _reading:  # HDF5 lets one thread in at a time anyway
            episode = _opened(self._path)
            return np.stack([shrink(episode.image(self._camera, int(row)), self._shape) for row in self._rows[places]])


_reading = threading.Lock()
"""Held while episodes are opened, read or closed: training and validation read in two threads."""
_open: dict[Path, Episode] = {}
_opener = os.getpid()


def _opened(path: Path) -> Episode:
    """The episode, open in this process: HDF5's handles are worth nothing after a fork."""
    global _opener
    if _opener != os.getpid():
        _open.clear()
        _opener = os.getpid()
    if path not in _open:
        if len(_open) >= OPEN:
            _open.pop(next(iter(_open))).close()
        _open[path] = Episode(path)
    return _open[path]


def _decoded(
    episode: Episode, camera: str, rows: NDArray[np.int64], shape: Size
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Blocks of pictures and the place of each one's first; JPEG and shrinking let other threads run."""

    def small(row: int) -> Image:
        return shrink(episode.image(camera, row), shape)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for first in range(0, len(rows), _BLOCK):
            yield first, np.stack(list(pool.map(small, rows[first : first + _BLOCK].tolist())))


def _cached(episode: Episode, camera: str, rows: NDArray[np.int64], shape: Size) -> NDArray[np.uint8]:
    """The shrunk pictures on disk, made where there are none of this very file yet."""
    folder = episode.path.parent / FOLDER
    about = episode.path.stat()
    kind = f"{episode.path.stem}.{camera.replace('/', '.')}.{shape[0]}x{shape[1]}"
    path = folder / f"{kind}.{about.st_size:x}-{about.st_mtime_ns:x}.{SHRINKING}.npy"
    whole = (len(rows), *shape, 3)
    if folder.is_symlink():
        raise DataError(f"{folder} is a link", "remove it, or train without pictures in a cache")
    if (kept := _load(path)) is None or kept.shape != whole or kept.dtype != np.uint8:
        make_ready(folder, len(rows) * 3 * shape[0] * shape[1] / 1e6, "keeping smaller pictures")
        for stale in folder.glob(f"{kind}.*.npy"):
            try_remove(stale)
        made = folder / f"{uuid4().hex}.tmp"
        try:
            with made.open("wb") as file:  # not through a map of it: a full disk would end the process
                header = {"descr": "|u1", "fortran_order": False, "shape": whole}
                np.lib.format.write_array_header_1_0(file, header)
                for _, block in _decoded(episode, camera, rows, shape):
                    file.write(block.data)
            sync(made)
            made.rename(path)  # whole or not at all; two at once make the same
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror}", 'free some space, or train without "cache"'
            ) from error
        finally:
            try_remove(made)
        kept = _load(path)
    if kept is None:
        raise DataError(f"{path} cannot be read back", 'train without "cache"')
    return kept


def _load(path: Path) -> NDArray[np.uint8] | None:
    """The images, read on access; None where there is no complete file."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, EOFError, ValueError):
        return None
