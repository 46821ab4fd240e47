"""Writes small files atomically, and checks that a folder is writable and has enough space."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

from ebt_data.errors import DataError
from ebt_data.files.commit import sync

RESERVE_BYTES = 64 << 20
"""Kept free on the disk while recording, so that an episode can still be closed and committed."""
DISK_FULL_HINT = "free some space, or work elsewhere with --out; existing files are unchanged"


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a kill or a power cut leaves either the old content or the new one.

    Raises:
        DataError: the disk is full, or the folder cannot be written; the old content stays.
    """
    part = path.with_name(f"{path.name}.{uuid4().hex[:8]}.new")
    try:
        # An unpredictable name, so that no link can be placed there first.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        sync(part)
        part.replace(path)
        sync(path.parent)
    except OSError as error:
        try_remove(part)
        raise DataError(f"cannot write {path}: {error.strerror}", DISK_FULL_HINT) from error


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents.

    Raises:
        DataError: one of them exists as a file, or it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        blocking_file = next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), None)
        why = f"{blocking_file} is a file" if blocking_file else error.strerror
        raise DataError(f"cannot create the folder {path}: {why}", "name another one with --out") from error


def prepare_folder(folder: Path, needed_mb: float, what: str) -> None:
    """Create a folder and check that it is writable and has space for `what` before a session starts.

    Raises:
        DataError: it is not, or has too little space.
    """
    make_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"cannot write into {folder}: read-only, or not yours", "name another one with --out")
    free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < needed_mb:
        raise DataError(
            f"{what} needs {needed_mb:.0f} MB in {folder}, and {free_mb:.0f} MB are free there",
            "free some space, or name another folder with --out",
        )


def try_remove(path: Path) -> None:
    """Remove a file if possible; does nothing if the folder is not writable."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
