"""One process at a time works in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ebt_data.errors import DataError, TaskFailed
from ebt_data.files.atomic_files import make_folder

LOCK = ".lock"


@contextmanager
def claim(folder: Path, command: str) -> Iterator[None]:
    """Keep every other `command` out of `folder`; the kernel lets go of it when this process ends, however it ends.

    Raises:
        TaskFailed: another one works there.
        DataError: the folder cannot be made or written.
    """
    make_folder(folder)
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DataError(f"cannot write into {folder}: {error.strerror}", "name another one with --out") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise TaskFailed(f"another {command} works in {folder}", "wait for it, or name another --out") from error
    try:
        yield
    finally:
        os.close(handle)
