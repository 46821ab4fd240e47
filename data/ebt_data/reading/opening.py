"""Opens an episode file for reading: an unknown file is tried in a child process first, one being recorded is followed.

open_file(path) -> h5py.File      one_line(error) -> str
"""

import contextlib
import fcntl
from pathlib import Path

import h5py

from ebt_data.errors import DataError
from ebt_data.files import commit
from ebt_data.layout import format as layout
from ebt_data.reading import sandbox


def open_file(path: Path) -> h5py.File:
    """Open it, for reading only.

    Raises:
        DataError: there is none, `guard` refuses it, or HDF5 cannot read it.
    """
    if not path.is_file():
        raise DataError(f"there is no episode {path}")
    part = path.suffix == commit.PART
    written = part and _is_written(path)
    if not written:
        sandbox.check(path)
    try:
        if part:
            # What `repair` has settled opens like any other; under SWMR, damage is taken for a write and waited for.
            with contextlib.suppress(OSError):
                if not written or sandbox.inside():
                    return h5py.File(path, "r", locking=False)
            return h5py.File(path, "r", libver=layout.LIBVER, swmr=True, locking=False)
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DataError(f"{path} is not a readable HDF5 file: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """HDF5's message, shortened to its first line."""
    return " ".join(str(error).split())[:200]


def _is_written(part: Path) -> bool:
    """True while a live process writes it, which holds a lock."""
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
