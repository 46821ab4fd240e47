"""The writer process, `python -m ebt_data.recording.writer_main`: messages on stdin, replies on stdout.

Stdin is a socket (see `ipc.py`); a reply is a line of JSON. The process has its own session and ignores Ctrl-C, so that
it outlives the recorder. If the recorder dies, stdin ends: the rows received are written, the file is closed, and the
`.part` is left to `repair`, which informs the user that a recording was interrupted.
"""

import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ebt_data.errors import DataError
from ebt_data.recording import ipc
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Outcome


class WriterServer:
    """Handles the recorder's messages, one episode after another."""

    def __init__(
        self, folder: Path, spec: BenchSpec, quality: int | None, reserve_bytes: int, replies: BinaryIO
    ) -> None:
        self._new = (folder, spec)
        self._options = (quality, reserve_bytes)
        self._replies = replies
        self._writer: EpisodeWriter | None = None
        self._faulty = False  # after a fault, further rows of the episode are not written
        self._sealer = ThreadPoolExecutor(1, "seal")
        self._replying = threading.Lock()

    def serve(self, messages: socket.socket) -> None:
        """Handle messages until the recorder closes the socket."""
        handlers: dict[str, Callable[..., None]] = {
            "start": self._start,
            "row": self._row,
            "finish": self._finish,
            "discard": self._discard,
        }
        while True:
            try:
                kind, *content = ipc.receive(messages)
            except EOFError:
                break
            try:
                handlers[kind](*content)
            except DataError as error:
                self._reply(refused=str(error), hint=error.hint)
            except (OSError, RuntimeError) as error:
                self._end(error)
        if self._writer is not None:
            self._writer.abandon()
        self._sealer.shutdown()

    def _start(self, meta: Any) -> None:
        folder, spec = self._new
        quality, reserve_bytes = self._options
        self._writer = EpisodeWriter(folder, spec, meta, quality, reserve_bytes)
        self._faulty = False
        self._reply(started=str(self._writer.path))

    def _row(self, step: Any, dropped: frozenset[str]) -> None:
        if self._writer is None:
            return
        if not self._faulty:
            try:
                self._writer.append(step, dropped)
            except DataError as error:
                self._faulty = True
                self._reply(fault=str(error), hint=error.hint)
        self._reply(kept=self._writer.rows)

    def _finish(self, outcome: Any) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.end(Outcome.ABORTED if self._faulty else outcome)
            self._reply(ended=str(writer.path))
            self._sealer.submit(self._seal, writer)  # the next episode does not wait for it

    def _seal(self, writer: EpisodeWriter) -> None:
        part = str(writer.path)
        try:
            writer.seal()
        except Exception as error:  # noqa: BLE001  the recorder must be notified of any error
            why = error.strerror if isinstance(error, OSError) else repr(error)
            self._reply(sealed=part, unsealed=f"{writer.path.stem} is complete, but cannot be committed ({why})")
        else:
            self._reply(sealed=part)

    def _discard(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._reply(done=str(writer.discard() or ""))

    def _reply(self, **content: Any) -> None:
        try:
            with self._replying:
                self._replies.write(json.dumps(content).encode() + b"\n")
                self._replies.flush()
        except BrokenPipeError:
            pass  # the recorder is gone; stdin ends next

    def _end(self, error: Exception) -> NoReturn:
        """Report the error and exit at once: HDF5 2.0 may crash when it closes a file that it failed to write."""
        name = "" if self._writer is None else self._writer.path.stem
        # HDF5 wraps the system's message in a long one.
        match = re.search(r"error message = '([^']+)'", str(error))
        why = match[1] if match else " ".join(str(error).split())
        self._reply(fault=f"cannot write to {name} ({why})", hint="free some space on the disk, or record elsewhere")
        os._exit(1)


def main() -> None:
    """Read the initial message and serve."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    messages = socket.socket(fileno=sys.stdin.fileno())
    folder, spec, quality, reserve_bytes = ipc.receive(messages)
    WriterServer(folder, spec, quality, reserve_bytes, sys.stdout.buffer).serve(messages)


if __name__ == "__main__":
    main()
