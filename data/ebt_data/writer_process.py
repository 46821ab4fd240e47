"""The recorder's end of the writer process: messages out through a thread, replies in without waiting."""

import contextlib
import fcntl
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from ebt_data import wire
from ebt_data.errors import DataError
from ebt_data.step import BenchSpec

_PIPE_BYTES = 1 << 20  # Linux's default limit for an unprivileged pipe; one 640x480 frame fits
_CLOSE_S = 10.0


class WriterDied(DataError):
    """The writer process ended on its own; what it wrote is on disk."""

    killed = False
    """By a signal; otherwise the disk failed it, and would fail anybody who wrote on."""


def _scratch() -> IO[bytes]:
    """A file without a name: in memory where the system has that, so that no temporary folder is needed."""
    return os.fdopen(os.memfd_create("stderr"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


class WriterProcess:
    """A child that runs `ebt_data.writing`, in a session of its own so that Ctrl-C does not reach it."""

    def __init__(self, folder: Path, spec: BenchSpec, quality: int | None, reserve_bytes: int) -> None:
        self._stderr = _scratch()  # closed in `close`
        # Not multiprocessing: its spawn would import the caller's main module, and with it perhaps torch.
        # -P: a file named numpy.py in the folder where `ebt` runs must not be imported.
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ebt_data.writing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )
        self._enlarge_pipe()
        self._replies = self._reply_pipe()
        self._partial = b""
        self._messages: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._feeder = threading.Thread(target=self._feed, name="episode feeder", daemon=True)
        self._feeder.start()
        self.post(folder.absolute(), spec, quality, reserve_bytes)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def running(self) -> bool:
        """False once the child has ended."""
        return self._child.poll() is None

    def post(self, *message: Any) -> None:
        """Queue a message; never waits. The caller bounds the queue by counting the replies."""
        self._messages.put(message)

    def replies(self, timeout_s: float) -> list[dict[str, Any]]:
        """Replies that have come, after waiting at most `timeout_s` for the first.

        Raises:
            WriterDied: the child has ended and every reply was given out.
        """
        if not select.select([self._replies], [], [], timeout_s)[0]:
            return []
        data = os.read(self._replies, 1 << 16)
        if not data:
            raise self._death()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _death(self) -> WriterDied:
        code = self._child.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        self._stderr.seek(0)
        said = self._stderr.read()[-10_000:].decode(errors="replace").strip()
        died = WriterDied(f"the writer process {how}" + (f" ({said.splitlines()[-1]})" if said else ""))
        died.killed = code < 0
        died.add_note(said)  # its traceback, where it was a bug
        return died

    def close(self) -> None:
        """Let the child write what was posted and end; kill it where it does not within ten seconds."""
        self._messages.put(None)
        try:
            self._child.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._feeder.join()
        os.close(self._replies)
        self._stderr.close()

    def _feed(self) -> None:
        pipe = self._child.stdin
        if pipe is None:
            return
        # Where the child is gone, the recorder hears of it from `replies`.
        with contextlib.suppress(BrokenPipeError):
            while (message := self._messages.get()) is not None:
                wire.send(pipe, message)
        with contextlib.suppress(BrokenPipeError):
            pipe.close()

    def _enlarge_pipe(self) -> None:
        if self._child.stdin is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(PermissionError):
                fcntl.fcntl(self._child.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def _reply_pipe(self) -> int:
        """The child's stdout without Python's buffer, so that `select` sees all of it."""
        pipe = self._child.stdout
        if pipe is None:
            raise DataError("the writer process has no stdout")
        with pipe:
            return os.dup(pipe.fileno())
