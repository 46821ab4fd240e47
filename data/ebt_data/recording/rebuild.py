"""Writes what can be read of a damaged recording into a fresh file, where HDF5 cannot put the old one right.

rebuild(part, lengths)
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import h5py

from ebt_data.files.commit import sync
from ebt_data.layout import attributes, codec
from ebt_data.layout import format as layout

_PIECE = 1 << 24
"""Bytes that are copied at once."""


def rebuild(part: Path, lengths: Mapping[str, int]) -> None:
    """Put a file with so many entries of each of these datasets in the part's place.

    Raises:
        OSError, RuntimeError: they cannot be read, or the disk is full; the part is left as it is.
    """
    handle, name = tempfile.mkstemp(".rebuilt", f".{part.stem}.", part.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        with h5py.File(part, "r", locking=False) as old, h5py.File(fresh, "w", libver=layout.LIBVER) as new:
            for path, length in lengths.items():
                _copy(old[path], new, path, length)
            _copy_attributes(old, new)
        sync(fresh)
        fresh.replace(part)
        sync(part.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _copy(source: h5py.Dataset, new: h5py.File, path: str, length: int) -> None:
    """With its chunks and filters, and as ready to grow."""
    tail = source.shape[1:]
    space = h5py.h5s.create_simple((length, *tail), (h5py.h5s.UNLIMITED, *tail))
    new.require_group(path.rpartition("/")[0] or "/")
    h5py.h5d.create(new.id, path.encode(), source.id.get_type(), space, dcpl=source.id.get_create_plist())
    step = max(1, _PIECE // max(1, source.nbytes // max(1, len(source))))
    for first in range(0, length, step):
        after = min(length, first + step)
        new[path][first:after] = source[first:after]


def _copy_attributes(old: h5py.File, new: h5py.File) -> None:
    found = attributes.read(old)
    spec = attributes.spec(found)
    encodings = {str(old[f"/images/{camera}"].attrs["encoding"]) for camera in spec.cameras}
    attributes.create(new, spec, attributes.meta(found), codec.QOI if codec.QOI in encodings else codec.JPEG)
    new.attrs["created"] = found["created"]
    attributes.mark(new, str(found["outcome"]), bool(found["complete"]))
