"""Reads keys pressed in a terminal or held on a desktop."""

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

PASTE_TIMEOUT_S = 1.0  # after this, a paste without an end marker counts as ended
ESCAPE_TIMEOUT_S = 0.025  # an arrow's bytes arrive together; an Esc byte alone for this long is the Esc key
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;]*|O)([A-Za-z~])")
_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"  # markers around pasted text in bracketed-paste mode
_PASTE_MODE_ON, _PASTE_MODE_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
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
LINE_BYTES = 250  # longest line in UTF-8; an episode's event stores 256


class Keys(Protocol):
    """A source of key presses with several readers."""

    def subscribe(self, wanted: Collection[str]) -> Callable[[], str | None]:
        """From now on pass these keys to the returned reader only."""
        ...


class TerminalKeys:
    """Key presses on the terminal, without echo and without waiting for Enter; Ctrl-C still interrupts.

    A terminal reports no key release: one press, one step. Ctrl-Z is disabled: a stopped program feeds no watchdog.
    Pasted text is added to the line being typed, as one line, and is dropped otherwise. Alt with a key is Esc, and is
    ignored while a line is typed.
    Where stdin is not a terminal there are no keys: `active` is False and `notice` explains it.
    """

    def __init__(self, file: int | None = None, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._file = _stdin() if file is None else file
        self._monotonic_s = monotonic_s
        self._saved: list[Any] | None = None
        self._on_continue: Any = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed = ""
        self._arrival_s = 0.0
        self._keys: list[str] = []
        self._subscribers: dict[str, list[str]] = {}
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
        self._read_input()
        return self._keys.pop(0) if self._keys else None

    def subscribe(self, wanted: Collection[str]) -> Callable[[], str | None]:
        """From now on pass these keys to the returned reader only."""
        queue: list[str] = []
        self._subscribers |= dict.fromkeys(wanted, queue)

        def reader() -> str | None:
            self._read_input()
            return queue.pop(0) if queue else None

        return reader

    @property
    def line(self) -> str | None:
        """The text of the line so far; None where none is being typed."""
        return self._line

    def start_line(self) -> None:
        """From now on all keys form a line: Enter ends it, Esc cancels it."""
        early, self._keys = self._keys, []
        self._line = ""
        for key in early:  # typed before the key that started the line was processed
            self._handle_key(key)

    def next_line(self) -> str | None:
        """The next completed line that is not empty, or None; never waits."""
        self._read_input()
        return self._lines.pop(0) if self._lines else None

    def __enter__(self) -> Self:
        if self._file is None or not os.isatty(self._file) or not _in_foreground(self._file):
            return self
        self._saved = termios.tcgetattr(self._file)
        self._configure_terminal()
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
            self._send(_PASTE_MODE_OFF)
            # FLUSH: keys meant for the arm must not reach the shell.
            with suppress(termios.error):  # a terminal that was closed has no settings to restore
                termios.tcsetattr(self._file, termios.TCSAFLUSH, self._saved)
            self._saved = None

    def _configure_terminal(self) -> None:
        if self._file is None:
            return
        tty.setcbreak(self._file)
        self._send(_PASTE_MODE_ON)
        settings = termios.tcgetattr(self._file)
        settings[6][termios.VSUSP] = b"\x00"
        termios.tcsetattr(self._file, termios.TCSANOW, settings)

    def _send(self, sequence: bytes) -> None:
        """Send the terminal a control sequence, if it is a terminal."""
        if self._file is not None and os.environ.get("TERM", "dumb") != "dumb":
            with suppress(OSError):  # it may be open for reading only, or closed
                os.write(self._file, sequence)

    def _continued(self, number: int, frame: FrameType | None) -> None:
        """The shell restores its own settings while a program is stopped; a terminal that closes sends SIGCONT too."""
        with suppress(termios.error):
            self._configure_terminal()

    def _read_input(self) -> None:
        if self._file is None or not self.active:
            return
        while select.select([self._file], [], [], 0)[0]:
            data = b""
            with suppress(OSError):  # closed: no more keys; SIGHUP follows
                data = os.read(self._file, 1024)
            if not data:
                break
            if not self._typed:
                self._arrival_s = self._monotonic_s()
            self._typed += self._decoder.decode(data)
        while self._typed and (key := self._next_key()) is not None:
            if key:
                self._handle_key(key)

    def _handle_key(self, key: str) -> None:
        if self._line is None:
            self._subscribers.get(key, self._keys).append(key)
        elif key in ("enter", "esc"):
            if key == "enter" and self._line.strip():
                self._lines.append(self._line.strip())
            self._line = None
        elif key == "backspace":
            self._line = self._line[:-1]
        elif key == "space" or len(key) == 1:
            longer = self._line + (" " if key == "space" else key)
            self._line = longer if len(longer.encode()) <= LINE_BYTES else self._line

    def _next_key(self) -> str | None:
        """Remove a key from the input: None when it is incomplete, empty when it is not one of `poll`'s keys."""
        typed = self._typed
        if len(typed) > 2 and _PASTE_START.startswith(typed[: len(_PASTE_START)]):
            return self._take_paste()
        if typed[0] == "\x1b" and typed[1:2].isprintable() and typed[1:2] not in ("", "[", "O"):
            self._typed = typed[2:]  # Alt with a key, or Esc and a key between two polls
            return "" if self._line is not None else "esc"
        if sequence := _SEQUENCE.match(typed):
            self._typed = typed[sequence.end() :]
            return _ARROWS.get(sequence.group(1), "")
        if (
            typed[0] == "\x1b"
            and typed[1:2] in ("", "[", "O")
            and self._monotonic_s() - self._arrival_s < ESCAPE_TIMEOUT_S
        ):
            return None
        self._typed = typed[1:]
        return _NAMES.get(typed[0], typed[0] if typed[0].isprintable() else "")

    def _take_paste(self) -> str | None:
        """Remove pasted text from the input; add it to the line being typed, or drop it."""
        text, ended, rest = self._typed.removeprefix(_PASTE_START).partition(_PASTE_END)
        if not ended and self._monotonic_s() - self._arrival_s < PASTE_TIMEOUT_S:
            return None
        self._typed = rest
        if self._line is not None:
            for key in filter(str.isprintable, " ".join(text.split())):
                self._handle_key(key)
        return ""


class HeldKeys:
    """Keys held on the desktop, read with pynput. It also receives keys typed in other windows.

    Raises:
        HardwareError: there is no display on which programs can read keys.
    """

    def __init__(self) -> None:
        self._held: dict[str, None] = {}
        self._listener: Any = None

    def subscribe(self, wanted: Collection[str]) -> Callable[[], str | None]:
        """A reader that returns each held key of these once per round, then None."""
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
                f"no desktop to read keys from: {error}", hint="use the keyboard of the terminal: omit --hold"
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
        """Raise where the listener ended with its display: a key held then would count as held forever."""
        if not self._listener.is_alive():
            self._held.clear()
            raise HardwareError("the desktop's keyboard has disappeared", hint="use the keyboard of the terminal")


def _desktop_name(key: Any) -> str:
    """The name of a pynput key: a character, or a name like `up`."""
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
