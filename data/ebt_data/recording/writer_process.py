"""The recorder's end of the writer process: messages out, replies in, both without waiting."""

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
    """By a signal; otherwise the disk failed, and would fail for another writer too."""


class WriterProcess:
    """A child that runs `ebt_data.recording.writer_main`, in a session of its own so that Ctrl-C does not reach it."""

    def __init__(self, folder: Path, spec: BenchSpec, quality: int | None, reserve_bytes: int) -> None:
        self._stderr = ipc.scratch()  # closed in `close`
        # Not multiprocessing: its spawn would import the caller's main module, and with it perhaps torch.
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
        """Hand a message over: when this returns, not even our death takes it from the child.

        Raises:
            DataError: a few hundred are on their way, and none was taken for `wait_s`.
        """
        with ipc.scratch() as file:
            self._send(message, file, wait_s)

    def post_row(self, step: Step, dropped: frozenset[str]) -> None:
        """The same for a row, which is never waited for; `row_taken` has to be called when the child has kept it.

        Not through a thread: where the machine is busy one may wait for long beside a loop of real-time priority, and
        what waits with it would die with us. In a file of a row before: new pages cost more than what is written to
        them, and now and then half a tick.
        """
        file = self._free.pop() if self._free else ipc.scratch()
        self._rows.append(file)
        self._send(("row", step, dropped), file, 0.0)

    def row_taken(self) -> None:
        """The oldest row that was posted is kept; its file is free."""
        self._free.append(self._rows.popleft())

    def _send(self, message: tuple[Any, ...], file: IO[bytes], wait_s: float) -> None:
        self._socket.settimeout(wait_s)
        # Where the child is gone, the recorder notices in `replies`.
        with contextlib.suppress(ConnectionError):
            try:
                ipc.send(self._socket, message, file)
            except (BlockingIOError, TimeoutError) as error:
                raise DataError("the disk takes no more rows") from error

    def has_replied(self, timeout_s: float) -> bool:
        """Whether there is something in `replies`, or nothing will ever come, after waiting at most so long."""
        return bool(select.select([self._replies], [], [], timeout_s)[0])

    def replies(self) -> list[dict[str, Any]]:
        """Replies that have come; waits for some where none has.

        Raises:
            WriterDied: the child has ended and every reply was given out.
        """
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
        """The child's stdout without Python's buffer, so that `select` sees all of it."""
        pipe = self._child.stdout
        if pipe is None:
            raise DataError("the writer process has no stdout")
        with pipe:
            return os.dup(pipe.fileno())
