"""Reads files from elsewhere in a child process first, so that a file that crashes HDF5 crashes nothing else.

A file that this user has neither recorded nor read before is read through by a child with bounded memory and time that
can write no file. What the child survives is remembered by inode, size and time of change, so that each file pays once.

check(path)       before a file is opened; raises DataError
endure(path)      before a cut-off recording is repaired, which need not be whole; raises DataError
remember(path)    of a file that was just recorded
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

LONGEST_S, SLOWEST_BYTES_S = 20.0, 20e6
"""A file may take so long to read, and so much longer for what it holds: a slow disk gives several times as much."""
_LARGEST = 1 << 23  # bytes of the list of known files; then it is started anew
FINE, DAMAGED, TOO_MUCH, BUG = "fine", "damaged", "too much", "bug"
"""The child's replies after a file's path: nothing more, a sentence and a hint, the same, or its traceback."""
READY = b"ready\n"
"""The child's first reply."""
_INSIDE = "EBT_READING"
"""Set in the child, which reads without asking."""


class ReaderBug(Exception):
    """The child is at fault, not the file."""


_lock = threading.Lock()
_known: set[str] = set()
_loaded_bytes = -1
_child: tuple[int, subprocess.Popen[bytes]] | None = None
"""The process that started it, and the child."""


def check(path: Path) -> None:
    """Accept a file that is safe to read; an unknown one is tried in a child process first.

    Raises:
        DataError: it was changed since it was recorded, is no whole episode, or reading it takes too long, too much
            memory, or kills the child.
    """
    if inside():
        return
    with _lock:
        mark = _mark(path)
        if mark in _known or mark in _load():
            return
        digest = checksums.recorded(path.parent).get(path.name)
        if digest is not None and digest != checksums.sha256(path):
            raise DataError(
                f"{path} is not what was recorded: its sha256 is not the one in {path.parent / checksums.NAME}",
                "bring it back from a copy, or move it to another folder to inspect what remains",
            )
        _try(path)
        _remember(mark)


def inside() -> bool:
    """True in the child; the lock on the file is then held by its parent."""
    return _INSIDE in os.environ


def endure(path: Path) -> None:
    """Try a cut-off recording in a child; damage that the child finds is left to `repair`.

    Raises:
        DataError: reading it takes too long, too much memory, or kills the child.
    """
    with _lock:
        kind, *words = _ask(path)
    if kind == TOO_MUCH:
        raise DataError(*words)


def remember(path: Path) -> None:
    """Note that this file is ours; it is read without a trial from now on."""
    with _lock:
        _remember(_mark(path))


def _mark(path: Path) -> str:
    about = path.stat()
    return f"{about.st_dev}:{about.st_ino}:{about.st_size}:{about.st_mtime_ns}"


def _list() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ebt" / "read_before"


def _load() -> set[str]:
    """The files known to be safe, shared with other processes."""
    global _loaded_bytes
    with suppress(OSError, RuntimeError):
        size = _list().stat().st_size
        if size != _loaded_bytes:
            _known.update(_list().read_text(errors="replace").split())
            _loaded_bytes = size
    return _known


def _remember(mark: str) -> None:
    _known.add(mark)
    with suppress(OSError, RuntimeError):  # a home that cannot be written, or none: each process tries anew
        path = _list()
        path.parent.mkdir(parents=True, exist_ok=True)
        anew = path.exists() and path.stat().st_size > _LARGEST
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if anew else os.O_APPEND), 0o600)
        try:
            os.write(handle, f"{mark}\n".encode())
        finally:
            os.close(handle)


def _try(path: Path) -> None:
    kind, *words = _ask(path)
    if kind != FINE:
        raise DataError(*words)


def _ask(path: Path) -> list[str]:
    """The child's reply about a file that it survived: a kind, and text."""
    child = _reader()
    assert child.stdin is not None and child.stdout is not None, "both are pipes"
    limit_s = LONGEST_S + path.stat().st_size / SLOWEST_BYTES_S
    try:
        asked = str(path.absolute())  # the child stays in the folder where it was started
        with suppress(BrokenPipeError):  # it died since the last file; a missing reply shows it too
            child.stdin.write(json.dumps([asked, limit_s]).encode() + b"\n")
            child.stdin.flush()
        if not select.select([child.stdout], [], [], limit_s)[0]:
            raise DataError(f"{path} is damaged: reading it takes more than {limit_s:.0f} s")
        answer = child.stdout.readline()
        if not answer.endswith(b"\n"):
            code = child.wait()
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            raise DataError(f"{path} is damaged: reading it ends a process with {how}")
        about, *said = json.loads(answer)
        if said[0] == BUG:
            raise ReaderBug(said[1])
        if about != asked:
            raise ReaderBug(f"asked about {asked}, the reader answers about {about}")
    except BaseException:  # the next request must not receive this reply
        child.kill()
        _stop()
        raise
    return list(said)


def _reader() -> "subprocess.Popen[bytes]":
    """The child, started anew where there is none, where it has ended, or after a fork."""
    global _child
    if _child is None or _child[0] != os.getpid() or _child[1].poll() is not None:
        _stop()
        command = [sys.executable, "-P", "-m", "ebt_data.reading.sandbox_main"]
        environment = {**os.environ, _INSIDE: "1"}
        # A session of its own: Ctrl-C is for the parent.
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
                f"files from elsewhere cannot be tried here: the process that reads them ends with status {code}",
                f"{' '.join(command)} says why; a limit on memory (ulimit -v) may be too low",
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
