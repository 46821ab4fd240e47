"""Opens an episode file for reading: an unknown one after a trial in a child process, one being recorded under SWMR.

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
    """Open an episode file read-only.

    Raises:
        DataError: there is none, `sandbox` rejects it, or HDF5 cannot read it.
    """
    if not path.is_file():
        raise DataError(f"there is no episode {path}")
    part = path.suffix == commit.PART
    being_written = part and _is_being_written(path)
    if not being_written:
        sandbox.check(path)
    try:
        if part:
            # After `repair` a file opens without SWMR; under SWMR, HDF5 takes damage for a write and waits.
            with contextlib.suppress(OSError):
                if not being_written or sandbox.in_child():
                    return h5py.File(path, "r", locking=False)
            return h5py.File(path, "r", libver=layout.LIBVER, swmr=True, locking=False)
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DataError(f"{path} is not a readable HDF5 file: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """HDF5's message, shortened to its first line."""
    return " ".join(str(error).split())[:200]


def _is_being_written(part: Path) -> bool:
    """True while a live process is writing it and holds its lock."""
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
