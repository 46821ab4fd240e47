"""Reads untrusted files in a child process first, so that a file that crashes HDF5 crashes only the child.

A file that this user has neither recorded nor read before is read completely by a child with limited memory and time,
which cannot write files. Files that pass are listed by inode, size and modification time, so that each is read once.

check(path)              before a file is opened; raises DataError
check_truncated(path)    before an interrupted recording is repaired, which may be incomplete; raises DataError
mark_trusted(path)       after a file was recorded by this process
"""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from ebt_data.errors import DataError
from ebt_data.files import checksums

BASE_LIMIT_S, MIN_BYTES_PER_S = 20.0, 20e6
"""Time limit for reading a file: a base, plus its size at this rate; a slow disk reads several times as fast."""
_LIST_LIMIT = 1 << 23  # bytes of the list of trusted files; then a new list is started
READABLE, DAMAGED, OVER_LIMIT, BUG = "fine", "damaged", "too much", "bug"
"""Kinds of reply, after the file's path; DAMAGED and OVER_LIMIT are followed by a message and a hint, BUG by a traceback."""
READY = b"ready\n"
"""Sent by the child once it has started."""
_CHILD_VARIABLE = "EBT_READING"
"""Environment variable of the child, in which `check` accepts every file."""


class ReaderError(Exception):
    """The child failed because of a bug, not because of the file."""


_lock = threading.Lock()
_trusted: set[str] = set()
_loaded_bytes = -1
_child: tuple[int, subprocess.Popen[bytes]] | None = None
"""Process id of the parent, and the child."""


def check(path: Path) -> None:
    """Check that a file is safe to read; an unknown one is read in a child process first.

    Raises:
        DataError: it was changed since it was recorded, is not a complete episode, or reading it takes too long, too much
            memory, or kills the child.
    """
    if in_child():
        return
    with _lock:
        fingerprint = _fingerprint(path)
        if fingerprint in _trusted or fingerprint in _load_trusted():
            return
        digest = checksums.recorded(path.parent).get(path.name)
        if digest is not None and digest != checksums.sha256(path):
            raise DataError(
                f"{path} is not what was recorded: its sha256 is not the one in {path.parent / checksums.NAME}",
                "restore it from a copy, or move it to another folder to inspect the remaining data",
            )
        _read_in_child(path)
        _add_trusted(fingerprint)


def in_child() -> bool:
    """True in the child; then the parent holds the lock on the file."""
    return _CHILD_VARIABLE in os.environ


def check_truncated(path: Path) -> None:
    """Read an interrupted recording in a child; damage that the child reports is left to `repair`.

    Raises:
        DataError: reading it takes too long, too much memory, or kills the child.
    """
    with _lock:
        kind, *words = _request(path)
    if kind == OVER_LIMIT:
        raise DataError(*words)


def mark_trusted(path: Path) -> None:
    """Add a file to the trusted list, so that it is not read in a child first."""
    with _lock:
        _add_trusted(_fingerprint(path))


def _fingerprint(path: Path) -> str:
    info = path.stat()
    return f"{info.st_dev}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}"


def _trusted_list() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ebt" / "read_before"


def _load_trusted() -> set[str]:
    """The fingerprints of trusted files, updated from the list that processes share."""
    global _loaded_bytes
    with suppress(OSError, RuntimeError):
        size = _trusted_list().stat().st_size
        if size != _loaded_bytes:
            _trusted.update(_trusted_list().read_text(errors="replace").split())
            _loaded_bytes = size
    return _trusted


def _add_trusted(fingerprint: str) -> None:
    _trusted.add(fingerprint)
    with suppress(OSError, RuntimeError):  # the home is missing or not writable: each process then checks files again
        path = _trusted_list()
        path.parent.mkdir(parents=True, exist_ok=True)
        restart = path.exists() and path.stat().st_size > _LIST_LIMIT
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if restart else os.O_APPEND), 0o600)
        try:
            os.write(handle, f"{fingerprint}\n".encode())
        finally:
            os.close(handle)


def _read_in_child(path: Path) -> None:
    kind, *words = _request(path)
    if kind != READABLE:
        raise DataError(*words)


def _request(path: Path) -> list[str]:
    """Request a check of a file from the child; returns its reply: a kind, and texts."""
    child = _reader()
    assert child.stdin is not None and child.stdout is not None, "both are pipes"
    limit_s = BASE_LIMIT_S + path.stat().st_size / MIN_BYTES_PER_S
    try:
        requested = str(path.absolute())  # absolute, as the child keeps its working directory
        with suppress(BrokenPipeError):  # it died since the last request; the missing reply is detected below
            child.stdin.write(json.dumps([requested, limit_s]).encode() + b"\n")
            child.stdin.flush()
        if not select.select([child.stdout], [], [], limit_s)[0]:
            raise DataError(f"{path} is damaged: reading it takes more than {limit_s:.0f} s")
        line = child.stdout.readline()
        if not line.endswith(b"\n"):
            code = child.wait()
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            raise DataError(f"{path} is damaged: reading it ends a process with {how}")
        replied, *reply = json.loads(line)
        if reply[0] == BUG:
            raise ReaderError(reply[1])
        if replied != requested:
            raise ReaderError(f"requested {requested}, the reader replied about {replied}")
    except BaseException:  # the next request must not receive this reply
        child.kill()
        _stop()
        raise
    return list(reply)


def _reader() -> "subprocess.Popen[bytes]":
    """The child; started if there is none, if it has ended, or after a fork."""
    global _child
    if _child is None or _child[0] != os.getpid() or _child[1].poll() is not None:
        _stop()
        command = [sys.executable, "-P", "-m", "ebt_data.reading.sandbox_main"]
        environment = {**os.environ, _CHILD_VARIABLE: "1"}
        # Its own session, so that Ctrl-C reaches only the parent.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        assert child.stdout is not None, "it is a pipe"
        try:
            ready = child.stdout.readline() == READY
        except BaseException:
            child.kill()
            raise
        if not ready:
            code = child.wait()
            raise DataError(
                f"cannot check untrusted files: the process that reads them ends with status {code}",
                f"{' '.join(command)} shows why; a memory limit (ulimit -v) may be too low",
            )
        _child = (os.getpid(), child)
    return _child[1]


@atexit.register
def _stop() -> None:
    global _child
    if _child is not None and _child[0] == os.getpid():
        _, child = _child
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        child.kill()
        child.wait()
    _child = None
