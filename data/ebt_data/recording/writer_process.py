"""Starts the writer process, sends it messages and receives its replies, without blocking."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import IO, Any

from ebt_data.errors import DataError
from ebt_data.recording import ipc
from ebt_data.step import BenchSpec, Step

_CLOSE_S = 10.0


class WriterDied(DataError):
    """The writer process ended on its own; what it wrote is on disk."""

    killed = False
    """True if by a signal; otherwise the disk failed, and would fail for another writer too."""


class WriterProcess:
    """A child that runs `ebt_data.recording.writer_main` in its own session, so that Ctrl-C does not reach it."""

    def __init__(self, folder: Path, spec: BenchSpec, quality: int | None, reserve_bytes: int) -> None:
        self._stderr = ipc.temporary_file()  # closed in `close`
        # Not multiprocessing: its spawn would import the caller's main module, and possibly torch.
        # -P: a file named numpy.py in the folder where `ebt` runs must not be imported.
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "ebt_data.recording.writer_main"],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        self._replies = self._reply_pipe()
        self._partial = b""
        self._rows: deque[IO[bytes]] = deque()
        self._free: list[IO[bytes]] = []
        self.post(folder.absolute(), spec, quality, reserve_bytes, wait_s=0.0)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def running(self) -> bool:
        """False once the child has ended."""
        return self._child.poll() is None

    def post(self, *message: Any, wait_s: float) -> None:
        """Send a message: once this returns, the child receives it even if this process dies.

        Raises:
            DataError: a few hundred are queued, and none was received for `wait_s`.
        """
        with ipc.temporary_file() as file:
            self._send(message, file, wait_s)

    def post_row(self, step: Step, dropped: frozenset[str]) -> None:
        """Send a row without waiting; call `release_row` when the child has confirmed it.

        Not through a thread: on a busy machine a thread may starve beside a real-time loop, and its pending rows would
        be lost with this process. The file of an earlier row is reused: allocating new pages costs more than writing
        to them, occasionally half a tick.
        """
        file = self._free.pop() if self._free else ipc.temporary_file()
        self._rows.append(file)
        self._send(("row", step, dropped), file, 0.0)

    def release_row(self) -> None:
        """Mark the oldest posted row as confirmed, so that its file can be reused."""
        self._free.append(self._rows.popleft())

    def _send(self, message: tuple[Any, ...], file: IO[bytes], wait_s: float) -> None:
        self._socket.settimeout(wait_s)
        # If the child is gone, `replies` raises WriterDied.
        with contextlib.suppress(ConnectionError):
            try:
                ipc.send(self._socket, message, file)
            except (BlockingIOError, TimeoutError) as error:
                raise DataError("the disk accepts no more rows") from error

    def has_replied(self, timeout_s: float) -> bool:
        """Whether `replies` would return or raise at once, after waiting for at most `timeout_s`."""
        return bool(select.select([self._replies], [], [], timeout_s)[0])

    def replies(self) -> list[dict[str, Any]]:
        """The replies received; waits if there is none.

        Raises:
            WriterDied: the child has ended and every reply was returned.
        """
        data = os.read(self._replies, 1 << 16)
        if not data:
            raise self._death()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _death(self) -> WriterDied:
        code = self._child.wait()
        reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        self._stderr.seek(0)
        stderr = self._stderr.read()[-10_000:].decode(errors="replace").strip()
        died = WriterDied(f"the writer process {reason}" + (f" ({stderr.splitlines()[-1]})" if stderr else ""))
        died.killed = code < 0
        died.add_note(stderr)  # the traceback, if it was a bug
        return died

    def close(self) -> None:
        """Wait until the child has written all messages and ended; kill it after ten seconds."""
        self._socket.close()
        try:
            self._child.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        os.close(self._replies)
        for file in (self._stderr, *self._rows, *self._free):
            file.close()

    def _reply_pipe(self) -> int:
        """The child's stdout without Python's buffer, which `select` would miss."""
        pipe = self._child.stdout
        if pipe is None:
            raise DataError("the writer process has no stdout")
        with pipe:
            return os.dup(pipe.fileno())
