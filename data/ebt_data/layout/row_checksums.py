"""A checksum of each row, which separates recorded rows from rows that a power cut left half written.

CRC-32 over, one behind the other as they are stored (little-endian, texts padded):

1. the row's entry of every dataset with one entry a row, but the sum's own, by path in alphabetical order;
2. each entry of `/events`, then of `/motors`, that belongs to the row, by path in alphabetical order;
3. for each camera by name, the picture, then the depth, where the row shows another one than the row before.

of_row(entries, lists, fresh) -> int      first_wrong(datasets, spec, kind, first, after) -> int | None
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


def of_row(entries: Mapping[str, Values], lists: Iterable[Mapping[str, Values]], fresh: Iterable[Pixels]) -> int:
    """The sum of one row: its entries by path, what was appended to lists in it, and the pictures that are new in it."""
    told = zlib.crc32(_joined(entries))
    for entry in lists:
        told = zlib.crc32(_joined(entry), told)
    for pixels in fresh:
        told = zlib.crc32(pixels, told)
    return told


def first_wrong(datasets: Mapping[str, h5py.Dataset], spec: BenchSpec, kind: str, first: int, after: int) -> int | None:
    """The first row in `first:after` whose checksum does not match; None where all match, or the file has no checksums.

    Every dataset with one entry a row has so many at least.
    """
    if layout.SUMS.path not in datasets:
        return None
    sums = datasets[layout.SUMS.path][first:after]
    columns = {path: data[first:after] for path, data in layout.by_row(dict(datasets), spec, kind).items()}
    fresh = [_Fresh(datasets, camera, after) for camera in sorted(spec.cameras)]
    said = [_List(datasets, group) for group in layout.LISTS]
    for place, row in enumerate(range(first, after)):
        entries = {path: values[place : place + 1] for path, values in columns.items()}
        lists = (entry for part in said for entry in part.of(row))
        pixels = (shown for camera in fresh for shown in camera.of(row))
        try:
            found = of_row(entries, lists, pixels)
        except (OSError, RuntimeError):  # a picture that is there in part
            return row
        if found != sums[place]:
            return row
    return None


def _joined(entries: Mapping[str, Values]) -> bytes:
    return b"".join(entries[path].data for path in sorted(entries))


class _List:
    """What was appended to one group's datasets, by row."""

    def __init__(self, datasets: Mapping[str, h5py.Dataset], group: str) -> None:
        there = layout.entries(datasets, group)
        self._rows = layout.entry_rows(there, group)
        self._columns = {path: data[: len(self._rows)] for path, data in there.items()}

    def of(self, row: int) -> Iterator[Mapping[str, Values]]:
        first, after = np.searchsorted(self._rows, (row, row + 1))
        for place in range(first, after):
            yield {path: values[place : place + 1] for path, values in self._columns.items()}


class _Fresh:
    """The frames that a camera's rows refer to and the previous row did not."""

    def __init__(self, datasets: Mapping[str, h5py.Dataset], camera: str, rows: int) -> None:
        self._pixels = datasets[f"/images/{camera}/bytes"]
        self._where = np.stack([datasets[f"/images/{camera}/{name}"][:rows] for name in ("offset", "length")], axis=1)
        self._depth = datasets.get(f"/depth/{camera}/frames")
        self._index = None if self._depth is None else datasets[f"/depth/{camera}/index"][:rows]

    def of(self, row: int) -> Iterator[Pixels]:
        offset, length = self._where[row]
        if 0 < length <= codec.LARGEST and (row == 0 or (self._where[row] != self._where[row - 1]).any()):
            yield self._pixels[offset : offset + length].data
        if self._depth is not None and self._index is not None:
            index = self._index[row]
            if 0 <= index < len(self._depth) and (row == 0 or index != self._index[row - 1]):
                yield self._depth[index].data
