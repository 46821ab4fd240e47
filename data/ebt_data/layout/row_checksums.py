"""Computes a checksum per row, which detects rows that a power cut left partly written.

CRC-32 over the concatenation of, as stored (little-endian, texts padded):

1. the row's entry of every dataset with one entry per row except the checksum itself, by path in alphabetical order;
2. each entry of `/events`, then of `/motors`, that belongs to the row, by path in alphabetical order;
3. for each camera by name, the encoded image, then the depth, if the row refers to another one than the previous row.

row_checksum(entries, lists, new_blobs) -> int      first_mismatch(datasets, spec, kind, first, after) -> int | None
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ebt_data.layout import codec
from ebt_data.layout import format as layout
from ebt_data.step import BenchSpec

Values = NDArray[Any]
Pixels = bytes | memoryview


def row_checksum(
    entries: Mapping[str, Values], lists: Iterable[Mapping[str, Values]], new_blobs: Iterable[Pixels]
) -> int:
    """The checksum of one row: its entries by path, its events and motor readings, and its new images."""
    checksum = zlib.crc32(_joined(entries))
    for entry in lists:
        checksum = zlib.crc32(_joined(entry), checksum)
    for pixels in new_blobs:
        checksum = zlib.crc32(pixels, checksum)
    return checksum


def first_mismatch(
    datasets: Mapping[str, h5py.Dataset], spec: BenchSpec, kind: str, first: int, after: int
) -> int | None:
    """The first row in `first:after` whose checksum does not match; None if all match, or the file has no checksums.

    Every dataset with one entry per row must have at least `after` entries.
    """
    if layout.CHECKSUMS.path not in datasets:
        return None
    sums = datasets[layout.CHECKSUMS.path][first:after]
    columns = {path: data[first:after] for path, data in layout.row_datasets(dict(datasets), spec, kind).items()}
    images = [_NewImages(datasets, camera, after) for camera in sorted(spec.cameras)]
    groups = [_Entries(datasets, group) for group in layout.ENTRY_GROUPS]
    for place, row in enumerate(range(first, after)):
        entries = {path: values[place : place + 1] for path, values in columns.items()}
        lists = (entry for group in groups for entry in group.of(row))
        pixels = (blob for camera in images for blob in camera.of(row))
        try:
            checksum = row_checksum(entries, lists, pixels)
        except (OSError, RuntimeError):  # an image that is only partly stored
            return row
        if checksum != sums[place]:
            return row
    return None


def _joined(entries: Mapping[str, Values]) -> bytes:
    return b"".join(entries[path].data for path in sorted(entries))


class _Entries:
    """The entries of one group, by row."""

    def __init__(self, datasets: Mapping[str, h5py.Dataset], group: str) -> None:
        datasets_of_group = layout.entry_datasets(datasets, group)
        self._rows = layout.entry_rows(datasets_of_group, group)
        self._columns = {path: data[: len(self._rows)] for path, data in datasets_of_group.items()}

    def of(self, row: int) -> Iterator[Mapping[str, Values]]:
        first, after = np.searchsorted(self._rows, (row, row + 1))
        for place in range(first, after):
            yield {path: values[place : place + 1] for path, values in self._columns.items()}


class _NewImages:
    """The frames that a camera's rows refer to and the previous row did not."""

    def __init__(self, datasets: Mapping[str, h5py.Dataset], camera: str, rows: int) -> None:
        self._pixels = datasets[f"/images/{camera}/bytes"]
        self._spans = np.stack([datasets[f"/images/{camera}/{name}"][:rows] for name in ("offset", "length")], axis=1)
        self._depth = datasets.get(f"/depth/{camera}/frames")
        self._index = None if self._depth is None else datasets[f"/depth/{camera}/index"][:rows]

    def of(self, row: int) -> Iterator[Pixels]:
        offset, length = self._spans[row]
        if 0 < length <= codec.MAX_BYTES and (row == 0 or (self._spans[row] != self._spans[row - 1]).any()):
            yield self._pixels[offset : offset + length].data
        if self._depth is not None and self._index is not None:
            index = self._index[row]
            if 0 <= index < len(self._depth) and (row == 0 or index != self._index[row - 1]):
                yield self._depth[index].data
