"""One camera's images of many episodes by row, each stored once even if several rows refer to it. Numpy only.

    storage     cost
    memory      decoded and resized when opened, by threads; then kept in memory
    cache       the same once, into `.shrunk` beside the episodes; memory-mapped from there
    files       nothing when opened; every image is decoded on each access

open_images(storage, episode, camera, size) -> CameraImages      of one episode
ImageArray(parts)[rows] -> [*rows.shape, H, W, 3] uint8
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
from ebt_data.files.atomic_files import prepare_folder, try_remove
from ebt_data.files.commit import sync
from ebt_data.reading.episode import Episode
from ebt_data.step import Image
from ebt_data.windows.resize import resize_area

ImageStorage = Literal["memory", "cache", "files"]
Size = tuple[int, int]
CACHE_FOLDER = ".shrunk"
RESIZE_VERSION = 1
"""Of `resize_area` and JPEG decoding; increased when their output changes."""
MAX_OPEN = 64
"""Episodes that `files` keeps open at once, in each process."""
_BLOCK = 64
"""Images decoded in parallel; they are in memory at full size until they are resized."""


class ImageSource(Protocol):
    """An episode's distinct images; an array is one."""

    def __getitem__(self, indices: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """[n, H, W, 3] of indices [n]."""


@dataclass(frozen=True)
class CameraImages:
    """One camera's images of one episode."""

    stack: ImageSource
    index: NDArray[np.int64]
    """[T] index into `stack` for each row."""
    shape: Size


class ImageArray:
    """The images of all episodes by row, concatenated in the order of the episodes."""

    def __init__(self, parts: Sequence[CameraImages]) -> None:
        self._stacks = [part.stack for part in parts]
        self._part = np.repeat(np.arange(len(parts)), [len(part.index) for part in parts])
        self._index = np.concatenate([part.index for part in parts])
        self.shape = (len(self._index), *parts[0].shape, 3)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, rows: NDArray[np.int64] | slice | int) -> NDArray[np.uint8]:
        """The images of rows [...]: [..., H, W, 3]."""
        indices = np.arange(len(self))[rows]
        flat = indices.ravel()
        images = np.empty((len(flat), *self.shape[1:]), np.uint8)
        order = np.argsort(self._part[flat], kind="stable")
        bounds = np.flatnonzero(np.diff(self._part[flat[order]])) + 1
        for some in np.split(order, bounds) if len(flat) else ():
            images[some] = self._stacks[self._part[flat[some[0]]]][self._index[flat[some]]]
        return images.reshape(*indices.shape, *self.shape[1:])


def open_images(storage: ImageStorage, episode: Episode, camera: str, size: Size | None) -> CameraImages:
    """One camera of an open episode, trimmed as labelled; `size` is (height, width) to resize to, None as recorded.

    Raises:
        DataError: an image cannot be decoded, or a row has none.
    """
    spec = episode.spec.cameras[camera]
    shape = size or (spec.height, spec.width)
    rows, index = episode.image_index(camera)
    kept = index[episode.training_rows]
    if (kept < 0).any():
        row = int(episode.training_rows[np.argmin(kept)])
        raise DataError(f"{episode.path} has no image of {camera} in row {row}")
    stack: ImageSource
    if storage == "files":
        stack = LazyImages(episode.path, camera, rows, shape)
    elif storage == "cache":
        stack = _cached(episode, camera, rows, shape)
    else:
        stack = np.empty((len(rows), *shape, 3), np.uint8)
        for first, block in _decoded(episode, camera, rows, shape):
            stack[first : first + len(block)] = block
    return CameraImages(stack, kept, shape)


class LazyImages:
    """An episode's images, read on access."""

    def __init__(self, path: Path, camera: str, rows: NDArray[np.int64], shape: Size) -> None:
        self._path, self._camera, self._rows, self._shape = path, camera, rows, shape

    def __getitem__(self, indices: NDArray[np.int64], /) -> NDArray[np.uint8]:
        with _reading:  # HDF5 admits one thread at a time anyway
            episode = _opened(self._path)
            return np.stack(
                [resize_area(episode.image(self._camera, int(row)), self._shape) for row in self._rows[indices]]
            )


_reading = threading.Lock()
"""Held while episodes are opened, read or closed, as training and validation read in two threads."""
_open: dict[Path, Episode] = {}
_opener = os.getpid()


def _opened(path: Path) -> Episode:
    """The episode, opened in this process: HDF5 handles are not valid after a fork."""
    global _opener
    if _opener != os.getpid():
        _open.clear()
        _opener = os.getpid()
    if path not in _open:
        if len(_open) >= MAX_OPEN:
            _open.pop(next(iter(_open))).close()
        _open[path] = Episode(path)
    return _open[path]


def _decoded(
    episode: Episode, camera: str, rows: NDArray[np.int64], shape: Size
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Blocks of images, each with the index of its first; decoding and resizing release the GIL."""

    def resized(row: int) -> Image:
        return resize_area(episode.image(camera, row), shape)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for first in range(0, len(rows), _BLOCK):
            yield first, np.stack(list(pool.map(resized, rows[first : first + _BLOCK].tolist())))


def _cached(episode: Episode, camera: str, rows: NDArray[np.int64], shape: Size) -> NDArray[np.uint8]:
    """The resized images from the cache, which is created if there is none for this version of the file."""
    folder = episode.path.parent / CACHE_FOLDER
    info = episode.path.stat()
    kind = f"{episode.path.stem}.{camera.replace('/', '.')}.{shape[0]}x{shape[1]}"
    path = folder / f"{kind}.{info.st_size:x}-{info.st_mtime_ns:x}.{RESIZE_VERSION}.npy"
    expected_shape = (len(rows), *shape, 3)
    if folder.is_symlink():
        raise DataError(f"{folder} is a link", 'remove it, or train without "cache"')
    if (cached := _load(path)) is None or cached.shape != expected_shape or cached.dtype != np.uint8:
        prepare_folder(folder, len(rows) * 3 * shape[0] * shape[1] / 1e6, "caching resized images")
        for stale in folder.glob(f"{kind}.*.npy"):
            try_remove(stale)
        temporary = folder / f"{uuid4().hex}.tmp"
        try:
            with temporary.open("wb") as file:  # not memory-mapped: a full disk would kill the process
                header = {"descr": "|u1", "fortran_order": False, "shape": expected_shape}
                np.lib.format.write_array_header_1_0(file, header)
                for _, block in _decoded(episode, camera, rows, shape):
                    file.write(block.data)
            sync(temporary)
            temporary.rename(path)  # atomic; two processes at once write the same content
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror}", 'free some space, or train without "cache"'
            ) from error
        finally:
            try_remove(temporary)
        cached = _load(path)
    if cached is None:
        raise DataError(f"{path} cannot be read back", 'train without "cache"')
    return cached


def _load(path: Path) -> NDArray[np.uint8] | None:
    """The images, read on access; None if there is no complete file."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, EOFError, ValueError):
        return None
