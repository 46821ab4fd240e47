"""Keys as they are pressed in a terminal or held on a desktop."""

import codecs
import os
import re
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Collection
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from ebt_data.errors import HardwareError

PASTE_S = 1.0  # a paste whose end has not come then has none
ESCAPE_S = 0.025  # an arrow's bytes come together; an Esc that stays alone so long is one
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;]*|O)([A-Za-z~])")
_PASTE, _PASTED = "\x1b[200~", "\x1b[201~"  # what a terminal puts around pasted text in bracketed-paste mode
_PASTING, _NOT_PASTING = b"\x1b[?2004h", b"\x1b[?2004l"
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_NAMES = {
    "\x1b": "esc",
    " ": "space",
    "\t": "tab",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
}
JOINT_KEYS = "1234567890"
LINE_BYTES = 250  # of a line in UTF-8; an event of an episode holds 256


class Keys(Protocol):
    """A source of key presses that several may read."""

    def share(self, wanted: Collection[str]) -> Callable[[], str | None]:
        """From now on give these keys to the returned reader only."""
        ...


class TerminalKeys:
    """Key presses on the terminal, without echo and without waiting for Enter; Ctrl-C works as ever.

    A terminal reports no key release: one press, one step. Ctrl-Z is off, since a stopped program feeds no watchdog.
    Pasted text goes into a line that is being written, as one line, and nowhere else. Alt with a key is Esc, and
    nothing in a line.
    Where stdin is not a terminal there are no keys: `active` is False and `notice` explains it.
    """

    def __init__(self, file: int | None = None, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._file = _stdin() if file is None else file
        self._monotonic_s = monotonic_s
        self._saved: list[Any] | None = None
        self._on_continue: Any = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed = ""
        self._escape_s = 0.0
        self._keys: list[str] = []
        self._shared: dict[str, list[str]] = {}
        self._line: str | None = None
        self._lines: list[str] = []

    @property
    def active(self) -> bool:
        """True while keys are read."""
        return self._saved is not None

    @property
    def notice(self) -> str:
        """A message for the operator; empty when keys work."""
        return "" if self.active else "stdin is not a terminal in the foreground: no keys; Ctrl-C still stops"

    def poll(self) -> str | None:
        """The next key that is not shared with another reader, or None; never waits.

        `left`, `right`, `up`, `down`, `esc`, `space`, `tab`, `enter`, `backspace`, or the character itself.
        """
        self._pump()
        return self._keys.pop(0) if self._keys else None

    def share(self, wanted: Collection[str]) -> Callable[[], str | None]:
        """From now on give these keys to the returned reader only."""
        queue: list[str] = []
        self._shared |= dict.fromkeys(wanted, queue)

        def reader() -> str | None:
            self._pump()
            return queue.pop(0) if queue else None

        return reader

    @property
    def line(self) -> str | None:
        """The current line as typed so far; None where none is being typed."""
        return self._line

    def write(self) -> None:
        """From now on all keys make up a line: Enter ends it, Esc gives it up."""
        early, self._keys = self._keys, []
        self._line = ""
        for key in early:  # typed before the key that started the line was processed
            self._take(key)

    def written(self) -> str | None:
        """The next line that was ended and is not empty, or None; never waits."""
        self._pump()
        return self._lines.pop(0) if self._lines else None

    def __enter__(self) -> Self:
        if self._file is None or not os.isatty(self._file) or not _in_foreground(self._file):
            return self
        self._saved = termios.tcgetattr(self._file)
        self._listen()
        if threading.current_thread() is threading.main_thread():
            self._on_continue = signal.signal(signal.SIGCONT, self._continued)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_continue is not None:
            signal.signal(signal.SIGCONT, self._on_continue)
            self._on_continue = None
        if self._saved is not None and self._file is not None:
            self._tell(_NOT_PASTING)
            # FLUSH: keys meant for the arm must not reach the shell.
            with suppress(termios.error):  # a terminal that was closed has no settings to restore
                termios.tcsetattr(self._file, termios.TCSAFLUSH, self._saved)
            self._saved = None

    def _listen(self) -> None:
        if self._file is None:
            return
        tty.setcbreak(self._file)
        self._tell(_PASTING)
        settings = termios.tcgetattr(self._file)
        settings[6][termios.VSUSP] = b"\x00"
        termios.tcsetattr(self._file, termios.TCSANOW, settings)

    def _tell(self, said: bytes) -> None:
        """Send the terminal a control sequence, if it is a terminal."""
        if self._file is not None and os.environ.get("TERM", "dumb") != "dumb":
            with suppress(OSError):  # it may be open for reading only, or closed
                os.write(self._file, said)

    def _continued(self, number: int, frame: FrameType | None) -> None:
        """The shell restores its own settings while a program is stopped; a terminal that closes wakes us too."""
        with suppress(termios.error):
            self._listen()

    def _pump(self) -> None:
        if self._file is None or not self.active:
            return
        while select.select([self._file], [], [], 0)[0]:
            data = b""
            with suppress(OSError):  # closed: no more keys; SIGHUP follows
                data = os.read(self._file, 1024)
            if not data:
                break
            if not self._typed:
                self._escape_s = self._monotonic_s()
            self._typed += self._decoder.decode(data)
        while self._typed and (key := self._next()) is not None:
            if key:
                self._take(key)

    def _take(self, key: str) -> None:
        if self._line is None:
            self._shared.get(key, self._keys).append(key)
        elif key in ("enter", "esc"):
            if key == "enter" and self._line.strip():
                self._lines.append(self._line.strip())
            self._line = None
        elif key == "backspace":
            self._line = self._line[:-1]
        elif key == "space" or len(key) == 1:
            longer = self._line + (" " if key == "space" else key)
            self._line = longer if len(longer.encode()) <= LINE_BYTES else self._line

    def _next(self) -> str | None:
        """Take a key off what was typed: None when it is not whole yet, empty when it is not one of ours."""
        typed = self._typed
        if len(typed) > 2 and _PASTE.startswith(typed[: len(_PASTE)]):
            return self._paste()
        if typed[0] == "\x1b" and typed[1:2].isprintable() and typed[1:2] not in ("", "[", "O"):
            self._typed = typed[2:]  # Alt with a key, or Esc and a key between two polls
            return "" if self._line is not None else "esc"
        if sequence := _SEQUENCE.match(typed):
            self._typed = typed[sequence.end() :]
            return _ARROWS.get(sequence.group(1), "")
        if typed[0] == "\x1b" and typed[1:2] in ("", "[", "O") and self._monotonic_s() - self._escape_s < ESCAPE_S:
            return None
        self._typed = typed[1:]
        return _NAMES.get(typed[0], typed[0] if typed[0].isprintable() else "")

    def _paste(self) -> str | None:
        """Take pasted text off what was typed: into the line that is written, or nowhere."""
        text, ended, rest = self._typed.removeprefix(_PASTE).partition(_PASTED)
        if not ended and self._monotonic_s() - self._escape_s < PASTE_S:
            return None
        self._typed = rest
        if self._line is not None:
            for key in filter(str.isprintable, " ".join(text.split())):
                self._take(key)
        return ""


class HeldKeys:
    """Keys of the desktop for as long as they are held, by pynput. It also receives keys typed in other windows.

    Raises:
        HardwareError: there is no display that lets programs read keys.
    """

    def __init__(self) -> None:
        self._held: dict[str, None] = {}
        self._listener: Any = None

    def share(self, wanted: Collection[str]) -> Callable[[], str | None]:
        """A reader that gives each held key of these once a round, then None."""
        round_: list[str] = []
        fresh = True

        def reader() -> str | None:
            nonlocal fresh
            if fresh:
                self._check()
                round_[:] = [key for key in tuple(self._held) if key in wanted]
            fresh = not round_
            return round_.pop(0) if round_ else None

        return reader

    def __enter__(self) -> Self:
        try:
            from pynput import keyboard
        except ImportError as error:
            raise HardwareError(
                f"no desktop to read keys from: {error}", hint="use the keyboard of the terminal: leave --hold away"
            ) from error
        self._listener = keyboard.Listener(
            on_press=lambda key: self._held.update({_desktop_name(key): None}),
            on_release=lambda key: self._held.pop(_desktop_name(key), None),
        )
        self._listener.start()
        self._listener.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.stop()
        self._listener.join()

    def _check(self) -> None:
        """A lost display ends the listener silently, and a key held then would be held for ever."""
        if not self._listener.is_alive():
            self._held.clear()
            raise HardwareError("the desktop's keyboard has disappeared", hint="use the keyboard of the terminal")


def _desktop_name(key: Any) -> str:
    """pynput's name of a key in ours: a character, or a name like `up`."""
    character = getattr(key, "char", None)
    return str(character or getattr(key, "name", key))


def _stdin() -> int | None:
    """The file descriptor of stdin; None where it is closed or replaced."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _in_foreground(file: int) -> bool:
    """False for a job in the background, which changing the terminal's settings would stop."""
    try:
        return os.tcgetpgrp(file) == os.getpgrp()
    except OSError:  # not our controlling terminal
        return True
