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
    """Let the first of these signals raise KeyboardInterrupt in the main thread, and every SIGINT after it.

    Returns those that came, as they come. One closed terminal sends SIGHUP twice, from the shell and from the kernel, so
    only a Ctrl-C counts as asking again. A signal that is ignored stays so: that is what `nohup` asks for.
    """
    came: list[int] = []
    lost: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if lost:
            lost.clear()
        else:
            came.append(number)
            if len(came) > 1 and number != signal.SIGINT:
                return
        raise KeyboardInterrupt

    def send_again() -> None:
        main = threading.main_thread().ident
        if lost and main is not None:  # or another came meanwhile, and was obeyed
            signal.pthread_kill(main, lost[-1])

    def ask_again(unraisable: Any) -> None:
        """Where the interrupt hit a finaliser, Python drops it, so it is asked for once more a moment later."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        lost.append(came[-1] if came else signal.SIGINT)
        again = threading.Timer(AGAIN_S, send_again)
        again.daemon = True
        again.start()

    for stop in _heard():
        signal.signal(stop, interrupt)
    sys.unraisablehook = ask_again
    return came


def end() -> None:
    """From here on each of these ends the process at once: it only waits for its threads, which may take a minute."""
    for stop in _heard():
        signal.signal(stop, signal.SIG_DFL)


def _heard() -> list[signal.Signals]:
    return [stop for stop in STOPS if signal.getsignal(stop) is not signal.SIG_IGN]
