"""Small files, written whole or not at all, and folders that are ready for what is to be written there."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

from ebt_data.errors import DataError
from ebt_data.files.commit import sync

RESERVE_BYTES = 64 << 20
"""Left free on a disk that is recorded to, so that an episode can still be closed and committed."""
FULL_HINT = "free some space, or work elsewhere with --out; what was there before is kept"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that any kill and any power cut leaves the old content or the new one, never a half.

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
        raise DataError(f"cannot write {path}: {error.strerror}", FULL_HINT) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        DataError: a file is in the way, or it cannot be made there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        in_the_way = next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), None)
        why = f"{in_the_way} is a file" if in_the_way else error.strerror
        raise DataError(f"cannot make the folder {path}: {why}", "name another one with --out") from error


def make_ready(folder: Path, needed_mb: float, what: str) -> None:
    """Make a folder and check that it is writable and has space before `what` starts, so that a session does not fail later.

    Raises:
        DataError: it is not; the message names what is missing.
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
    """Remove a left-over where that is possible; a folder that cannot be written keeps it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
