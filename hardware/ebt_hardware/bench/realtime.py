"""Real-time scheduling of one thread, so that other programs cannot make its ticks late."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PRIORITY = 10  # of 1 to 99: above every ordinary thread, below the kernel's interrupt threads at 50


@contextmanager
def realtime() -> Iterator[bool]:
    """Schedule the calling thread ahead of ordinary threads inside the `with` (Linux `SCHED_FIFO`).

    Yields False, and changes nothing, where the system forbids it; `ebt doctor` reports how to allow it. Threads and
    processes started inside have ordinary priority, so that a planner cannot starve the machine.
    """
    if not hasattr(os, "sched_setscheduler"):  # not Linux
        yield False
        return
    thread = threading.get_native_id()
    try:
        policy, priority = os.sched_getscheduler(thread), os.sched_getparam(thread)
        os.sched_setscheduler(thread, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except OSError:  # not permitted; or, in a sandbox, not implemented
        yield False
        return
    try:
        yield True
    finally:
        # Only root may clear the flag; on an ordinary thread it has no effect.
        os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, priority)
