"""The recorded sha256 of each episode, in a `SHA256SUMS` file in its folder that `sha256sum -c` can check."""

import errno
import hashlib
import os
from pathlib import Path

NAME = "SHA256SUMS"


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(path: Path, digest: str) -> None:
    """Append a line for `path` to the list in its folder, and sync it to disk.

    Raises:
        OSError: the disk is full.
    """
    # One short write to an O_APPEND file is not interleaved with that of another recorder in the same folder.
    target = os.open(path.parent / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(target).st_size
        torn = size > 0 and os.pread(target, 1, size - 1) != b"\n"  # an earlier write was cut short by a full disk
        line = b"\n" * torn + f"{digest}  {path.name}\n".encode()
        if os.write(target, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), NAME)
        os.fsync(target)
    finally:
        os.close(target)


def recorded(folder: Path) -> dict[str, str]:
    """Digest by file name; the last line for a name counts. Empty if there is no list."""
    path = folder / NAME
    if not path.is_file():
        return {}
    lines = path.read_text(errors="replace").splitlines()
    return {name.strip(): digest for digest, _, name in (line.partition("  ") for line in lines) if name}
