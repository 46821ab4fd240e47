"""An emulator on a pseudo-terminal, for any program that uses the Dynamixel protocol."""

import errno
import os
import select
import time
import tty
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ebt_hardware.emulator.emulator import Emulator

_CHUNK = 256  # bytes processed per call, several ticks of one arm, so that a busy client does not starve others
_UNREAD = 65_536  # bytes kept for a client that does not read; the rest is lost, as on a real bus


class Stop(Protocol):
    """A `threading.Event` or `multiprocessing.Event`."""

    def is_set(self) -> bool: ...


class PtyPort:
    """One pseudo-terminal that only this user may open.

    Put it into a `select` next to the loop's other files, and call `service` when it is readable or periodically.
    Unplugging the emulator closes the pty; plugging it in again opens a new one, with the same `link` if given.
    """

    def __init__(self, emulator: Emulator, link: Path | None = None) -> None:
        self.emulator = emulator
        self.link = link
        self.path = ""
        """The device, e.g. `/dev/pts/3`; empty while unplugged."""
        self._master = self._slave = -1
        self._unsent = b""
        self.service()

    def fileno(self) -> int:
        """For `select`; -1 while unplugged."""
        return self._master

    def service(self) -> None:
        """Process some of the received bytes; never waits."""
        if self.emulator.plugged and self._master < 0:
            self._open()
        elif not self.emulator.plugged and self._master >= 0:
            self.close()
        if self._master < 0:
            return
        if request := self._receive():
            self._unsent = (self._unsent + self.emulator.handle(request))[-_UNREAD:]
        self._send()

    def close(self) -> None:
        """Close the pty; no effect when it is already closed."""
        for file in (self._master, self._slave):
            if file >= 0:
                os.close(file)
        self._master = self._slave = -1
        self._unsent = b""
        self.path = ""
        if self.link is not None and self.link.is_symlink():
            self.link.unlink()

    def _open(self) -> None:
        # The slave stays open here: without it the master reads EIO as soon as a client closes.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        Path(self.path).chmod(0o600)
        if self.link is not None:
            if self.link.is_symlink():
                self.link.unlink()
            self.link.symlink_to(self.path)

    def _receive(self) -> bytes:
        try:
            return os.read(self._master, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: no client has it open
                raise
            return b""

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._master, self._unsent) :]
        except BlockingIOError:
            return  # the client's buffer is full; the rest is sent with the next call


def serve_pty(
    ports: Sequence[PtyPort],
    stop: Stop,
    update: Callable[[float], None] | None = None,
    period_s: float = 0.01,
) -> None:
    """Serve all ports until `stop` is set, and call `update(dt_s)` every period with the time that has passed."""
    last = time.monotonic()
    while not stop.is_set():
        files = [port for port in ports if port.fileno() >= 0]
        select.select(files, [], [], max(0.0, last + period_s - time.monotonic()))
        for port in ports:
            port.service()
        now = time.monotonic()
        if now - last >= period_s:
            if update is not None:
                update(now - last)
            last = now
