"""Ctrl-C and its like, held back until a good moment, so that nothing is interrupted half-way through an update."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started in this block never hear of a Ctrl-C, which a terminal sends to them too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Gives a function to call at every good moment: it raises KeyboardInterrupt where somebody has asked to stop.

    So does leaving the block. Whoever asks a second time is obeyed at once. Only a main thread is told of signals, and
    signals that are ignored stay so; elsewhere nothing is held back.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    def obey() -> None:
        if asked:
            raise KeyboardInterrupt

    mine = STOPS if threading.current_thread() is threading.main_thread() else ()
    before = {stop: signal.signal(stop, ask) for stop in mine if signal.getsignal(stop) is not signal.SIG_IGN}
    try:
        yield obey
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
    obey()
