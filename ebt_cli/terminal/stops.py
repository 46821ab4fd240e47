"""Ctrl-C, `kill` and a closed terminal cause the same safe stop."""

import signal
import sys
from types import FrameType
from typing import Any

from ebt_data.files.deferred_signals import interruptible

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.05


def listen() -> None:
    """Install handlers: the first of these signals raises KeyboardInterrupt in the main thread, and so does every SIGINT after it.

    One closed terminal sends SIGHUP twice, from the shell and from the kernel, so only a Ctrl-C counts as asking again.
    An ignored signal stays ignored, as `nohup` requires.

    An import, or a row that is being handed to the writer, is finished first.
    """
    obeyed = put_off = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal obeyed, put_off
        if obeyed and number != signal.SIGINT:
            return
        if not interruptible(frame):
            ask_again(number)
            return
        obeyed, put_off = number, 0
        raise KeyboardInterrupt

    def ask_again(number: int) -> None:
        nonlocal put_off
        put_off = number
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)

    def asked_again(_number: int, _frame: FrameType | None) -> None:
        if put_off:  # or another came meanwhile, and was obeyed
            signal.raise_signal(put_off)  # for the current handler: a training has its own

    def dropped(unraisable: Any) -> None:
        """Where the interrupt hit a finaliser, Python drops it, so it is raised again a moment later."""
        nonlocal obeyed
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        ask_again(obeyed or signal.SIGINT)
        obeyed = 0

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
