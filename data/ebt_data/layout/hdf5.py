"""Lists the datasets of an untrusted HDF5 file: plain datasets only, without following links."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from ebt_data.errors import DataError

BITSHUFFLE = 32008  # the filter's registered number: https://github.com/HDFGroup/hdf5_plugins
_DEPTH_LIMIT = 6  # groups within groups
_COUNT_LIMIT = 2000  # links in one file
_MAX_RATIO = 1000  # largest compression ratio accepted; a black depth image compresses 1:250
_CHUNK_LIMIT = 1 << 27  # bytes that one read decompresses; a depth image of 8 megapixels takes 16 MiB


def list_datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Every dataset by absolute path.

    Raises:
        DataError: soft or external links, data in other files, unknown filters, or too many objects.
    """
    datasets: dict[str, h5py.Dataset] = {}
    pending: list[tuple[str, Any]] = [("", file["/"])]
    count = 0
    while pending:
        prefix, group = pending.pop()
        for name in group:
            count += 1
            path = f"{prefix}/{name}"
            if count > _COUNT_LIMIT or path.count("/") > _DEPTH_LIMIT:
                raise DataError(f"{file.filename} has more or deeper groups than any episode")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"{file.filename} has a link at {path[:80]!r}; an episode contains all of its data")
            item = group[name]
            if isinstance(item, h5py.Group):
                pending.append((path, item))
            elif isinstance(item, h5py.Dataset):
                _check_storage(file, path, item)
                datasets[path] = item
    return datasets


def check_sizes(path: Path, datasets: Mapping[str, h5py.Dataset]) -> None:
    """Reject a dataset whose size is implausible for a file of this size.

    Raises:
        DataError: a dataset is too large.
    """
    limit = _MAX_RATIO * path.stat().st_size
    for name, data in datasets.items():
        if data.nbytes > limit:
            raise DataError(
                f"{path} states {data.nbytes} bytes in {name[:80]}, more than a file of its size can contain"
            )


def _check_storage(file: h5py.File, path: str, data: h5py.Dataset) -> None:
    if data.is_virtual or data.external:
        raise DataError(f"{file.filename} stores {path[:80]!r} in another file; an episode contains all of its data")
    chunk = math.prod(data.chunks or (0,)) * data.dtype.itemsize
    if chunk > _CHUNK_LIMIT:
        raise DataError(
            f"{file.filename} stores {path[:80]!r} in chunks of {chunk >> 20} MiB; an episode's are smaller"
        )
    filters = data.id.get_create_plist()
    for index in range(filters.get_nfilters()):
        if filters.get_filter(index)[0] not in (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, BITSHUFFLE):
            raise DataError(f"{file.filename} compresses {path[:80]!r} with a filter that no episode uses")
