"""Copies the readable part of a damaged recording into a new file, if HDF5 cannot truncate the old one.

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
"""Bytes copied at once."""


def rebuild(part: Path, lengths: Mapping[str, int]) -> None:
    """Replace `part` by a file with the first `lengths[path]` entries of each dataset.

    Raises:
        OSError, RuntimeError: the entries cannot be read, or the disk is full; `part` is unchanged.
    """
    handle, name = tempfile.mkstemp(".rebuilt", f".{part.stem}.", part.parent)
    os.close(handle)
    rebuilt = Path(name)
    try:
        with h5py.File(part, "r", locking=False) as old, h5py.File(rebuilt, "w", libver=layout.LIBVER) as new:
            for path, length in lengths.items():
                _copy(old[path], new, path, length)
            _copy_attributes(old, new)
        sync(rebuilt)
        rebuilt.replace(part)
        sync(part.parent)
    finally:
        rebuilt.unlink(missing_ok=True)


def _copy(source: h5py.Dataset, new: h5py.File, path: str, length: int) -> None:
    """Copy a dataset with its chunks and filters, and without an upper limit on its length."""
    tail = source.shape[1:]
    space = h5py.h5s.create_simple((length, *tail), (h5py.h5s.UNLIMITED, *tail))
    new.require_group(path.rpartition("/")[0] or "/")
    h5py.h5d.create(new.id, path.encode(), source.id.get_type(), space, dcpl=source.id.get_create_plist())
    step = max(1, _PIECE // max(1, source.nbytes // max(1, len(source))))
    for first in range(0, length, step):
        after = min(length, first + step)
        new[path][first:after] = source[first:after]


def _copy_attributes(old: h5py.File, new: h5py.File) -> None:
    attrs = attributes.read(old)
    spec = attributes.spec(attrs)
    encodings = {str(old[f"/images/{camera}"].attrs["encoding"]) for camera in spec.cameras}
    attributes.write(new, spec, attributes.meta(attrs), codec.QOI if codec.QOI in encodings else codec.JPEG)
    new.attrs["created"] = attrs["created"]
    attributes.set_outcome(new, str(attrs["outcome"]), bool(attrs["complete"]))
