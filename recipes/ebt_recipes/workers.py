"""Worker processes and signals: a deferred Ctrl-C, and workers that ignore it."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def workers_possible() -> bool:
    """False without semaphores, e.g. without a writable /dev/shm; rollouts then run one by one in this process."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError:
        return False
    return True


@contextmanager
def ignore_stop_signals() -> Iterator[None]:
    """Processes that are started in this block ignore a Ctrl-C, which a terminal sends to them too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Defers stop signals; yields a function to call at safe points, which raises KeyboardInterrupt if one arrived.

    Leaving the block raises it too. A second stop signal raises at once if it is a Ctrl-C; a second SIGTERM or SIGHUP
    does not, since closing one terminal sends two. Only the main thread receives signals, and ignored signals stay
    ignored; in other threads nothing is deferred.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    def raise_if_received() -> None:
        if received:
            raise KeyboardInterrupt

    handled = STOP_SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before = {stop: signal.signal(stop, handle) for stop in handled if signal.getsignal(stop) is not signal.SIG_IGN}
    try:
        yield raise_if_received
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
    raise_if_received()
