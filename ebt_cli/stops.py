"""Whoever asks for an end, by Ctrl-C, `kill` or a closed terminal, gets the same safe stop."""

import signal
import sys
from types import FrameType
from typing import Any

from ebt_data.uninterrupted import interruptible

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.05


def listen() -> None:
    """Let the first of these signals raise KeyboardInterrupt in the main thread, and every SIGINT after it.

    One closed terminal sends SIGHUP twice, from the shell and from the kernel, so only a Ctrl-C counts as asking again.
    A signal that is ignored stays so: that is what `nohup` asks for.

    What must not be cut in two, an import or a row on its way into its file, is done first.
    """
    stopping = False
    waiting = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping and number != signal.SIGINT and not waiting:
            return
        stopping = True
        obey(frame)

    def obey(frame: FrameType | None) -> None:
        nonlocal waiting
        if not interruptible(frame):
            ask_again()
            return
        waiting = False
        raise KeyboardInterrupt

    def ask_again() -> None:
        nonlocal waiting
        waiting = True
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)

    def asked_again(_number: int, frame: FrameType | None) -> None:
        if waiting:  # or another came meanwhile, and was obeyed
            obey(frame)

    def dropped(unraisable: Any) -> None:
        """Where the interrupt hit a finaliser, Python drops it, so it is asked for once more a moment later."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            ask_again()
        else:
            sys.__unraisablehook__(unraisable)

    for stop in _heard():
        signal.signal(stop, interrupt)
    signal.signal(signal.SIGALRM, asked_again)
    sys.unraisablehook = dropped


def end() -> None:
    """From here on each of these ends the process at once: it only waits for its threads, which may take a minute."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for stop in _heard():
        signal.signal(stop, signal.SIG_DFL)


def _heard() -> list[signal.Signals]:
    return [stop for stop in STOPS if signal.getsignal(stop) is not signal.SIG_IGN]
