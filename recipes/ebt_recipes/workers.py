"""Worker processes and signals: a Ctrl-C that waits for a good moment, children that never hear of it."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def workers_possible() -> bool:
    """False where the system gives no semaphores, as without a writable /dev/shm: rollouts then run here, in turn."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError:
        return False
    return True


@contextmanager
def ignore_stop_signals() -> Iterator[None]:
    """Processes that are started in this block never hear of a Ctrl-C, which a terminal sends to them too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Gives a function to call at every good moment: it raises KeyboardInterrupt where somebody has asked to stop.

    So does leaving the block. A Ctrl-C after that is obeyed at once; a second SIGTERM or SIGHUP is not, since one closed
    terminal sends two. Only a main thread is told of signals, and
    signals that are ignored stay so; elsewhere nothing is held back.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked and number == signal.SIGINT:
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
