"""Whoever asks for an end, by Ctrl-C, `kill` or a closed terminal, gets the same safe stop."""

import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.05


def listen() -> Sequence[int]:
    """Let each of these signals raise KeyboardInterrupt in the main thread; returns those that came, as they come.

    A signal that is ignored stays so: that is what `nohup` asks for.
    """
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for stop in _heard():
        signal.signal(stop, interrupt)
    sys.unraisablehook = _ask_again
    return came


def end() -> None:
    """Hear of no more: the process ends anyway, and a last Ctrl-C would only print where it was hit."""
    for stop in _heard():
        signal.signal(stop, signal.SIG_IGN)


def _heard() -> list[signal.Signals]:
    return [stop for stop in STOPS if signal.getsignal(stop) is not signal.SIG_IGN]


def _ask_again(unraisable: Any) -> None:
    """Where the interrupt hit a finaliser, Python drops it, so it is asked for once more a moment later."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    main = threading.main_thread().ident
    if main is not None:
        again = threading.Timer(AGAIN_S, signal.pthread_kill, (main, signal.SIGINT))
        again.daemon = True
        again.start()
