"""Looks into an HDF5 file that may come from anywhere: plain datasets only, found without following links."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from ebt_data.errors import DataError

BITSHUFFLE = 32008  # the filter's registered number: https://github.com/HDFGroup/hdf5_plugins
_DEPTH_LIMIT = 6  # groups within groups
_COUNT_LIMIT = 2000  # links in one file
_UNPACKED = 1000  # largest compression ratio accepted; a black depth image compresses 1:250
_CHUNK_LIMIT = 1 << 27  # bytes that one read unpacks; a depth picture of 8 megapixels takes 16 MiB


def tree(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Every dataset by absolute path.

    Raises:
        DataError: soft or external links, data kept in other files, foreign filters, or absurdly many objects.
    """
    found: dict[str, h5py.Dataset] = {}
    pending: list[tuple[str, Any]] = [("", file["/"])]
    seen = 0
    while pending:
        prefix, group = pending.pop()
        for name in group:
            seen += 1
            path = f"{prefix}/{name}"
            if seen > _COUNT_LIMIT or path.count("/") > _DEPTH_LIMIT:
                raise DataError(f"{file.filename} holds more or deeper groups than any episode")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"{file.filename} has a link at {path[:80]!r}; an episode holds its data itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                pending.append((path, item))
            elif isinstance(item, h5py.Dataset):
                _check_storage(file, path, item)
                found[path] = item
    return found


def check_claims(path: Path, datasets: Mapping[str, h5py.Dataset]) -> None:
    """Refuse a dataset that takes more memory to read than a file of this size can contain.

    Raises:
        DataError: a dataset does.
    """
    most = _UNPACKED * path.stat().st_size
    for name, data in datasets.items():
        if data.nbytes > most:
            raise DataError(f"{path} claims {data.nbytes} bytes in {name[:80]}, more than its size can hold")


def _check_storage(file: h5py.File, path: str, data: h5py.Dataset) -> None:
    if data.is_virtual or data.external:
        raise DataError(f"{file.filename} keeps {path[:80]!r} in another file; an episode holds its data itself")
    chunk = math.prod(data.chunks or (0,)) * data.dtype.itemsize
    if chunk > _CHUNK_LIMIT:
        raise DataError(f"{file.filename} keeps {path[:80]!r} in pieces of {chunk >> 20} MiB; no episode does")
    filters = data.id.get_create_plist()
    for index in range(filters.get_nfilters()):
        if filters.get_filter(index)[0] not in (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, BITSHUFFLE):
            raise DataError(f"{file.filename} packs {path[:80]!r} with a filter that no episode uses")
