"""Commits a finished `.part` file as an episode (synced, hashed, read-only), or moves it to the trash and back."""

import os
from pathlib import Path

from ebt_data.files import checksums

SUFFIX = ".h5"
PART = ".part"  # replaces the suffix until commit
TRASH = ".trash"


def sync(path: Path) -> None:
    """Sync a file's content, or a folder's directory entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def commit(part: Path) -> Path:
    """Record the sha256 of a closed, complete `.part` file, make it read-only and rename it to `.h5`.

    The rename comes last: if a kill or a full disk interrupts this, a `.part` remains, which `repair` completes.
    """
    final = part.with_suffix(SUFFIX)
    sync(part)
    checksums.record(final, checksums.sha256(part))
    part.chmod(0o444)
    part.rename(final)
    sync(final.parent)
    return final


def discard(file: Path) -> Path:
    """Move a closed `.part` file, or an episode, to the folder's trash, renamed to `.h5` so that it can be opened."""
    trash = file.parent / TRASH
    trash.mkdir(exist_ok=True)
    target = trash / file.with_suffix(SUFFIX).name
    count = 1
    while target.exists():
        target = trash / f"{file.stem}.{count}{SUFFIX}"
        count += 1
    file.rename(target)
    sync(trash)
    sync(file.parent)
    return target


def restore(trashed: Path) -> Path:
    """Move a file out of the trash to its original name, or to the next free one if that is taken."""
    folder = trashed.parent.parent
    digest, recorded = checksums.sha256(trashed), checksums.recorded(folder)
    for stem in (trashed.stem, trashed.stem.rpartition(".")[0]):  # a second file of the same name got a numeric suffix
        original = folder / f"{stem}{SUFFIX}"
        if recorded.get(original.name) == digest and not original.exists():
            trashed.rename(original)
            sync(folder)
            return original
    part, handle = reserve(folder)  # it was discarded before commit
    os.close(handle)
    trashed.rename(part)
    return commit(part)


def reserve(folder: Path) -> tuple[Path, int]:
    """Create the next free `episode_NNNN.part`; returns it with an open file descriptor.

    The number of a committed episode is never reused, so that its labels and hash cannot match another episode.
    """
    names = {path.stem for path in folder.iterdir() if path.suffix in (SUFFIX, PART)}
    names |= {Path(name).stem for name in checksums.recorded(folder)}
    numbers = [int(name[8:]) for name in names if name.startswith("episode_") and name[8:].isdecimal()]
    number = max(numbers, default=-1) + 1
    while True:
        path = folder / f"episode_{number:04d}{PART}"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:  # another recorder took this number
            number += 1
        else:
            sync(folder)  # otherwise a power cut could lose the directory entry, and with it all synced data
            return path, handle
