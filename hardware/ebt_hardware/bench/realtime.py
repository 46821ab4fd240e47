"""Real-time scheduling of one thread, so that other programs cannot make its ticks late."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PRIORITY = 10  # of 1 to 99: before every ordinary thread, behind the kernel's interrupt threads at 50


@contextmanager
def realtime() -> Iterator[bool]:
    """Run the calling thread before all ordinary ones while the `with` lasts (Linux `SCHED_FIFO`).

    Gives False, and changes nothing, where the system forbids it; `ebt doctor` reports how to allow it. Threads and
    processes that are started meanwhile are ordinary ones, so a planner can't starve the machine.
    """
    if not hasattr(os, "sched_setscheduler"):  # no Linux
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
        # Only root may take the flag back; left on an ordinary thread it changes nothing.
        os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, priority)
