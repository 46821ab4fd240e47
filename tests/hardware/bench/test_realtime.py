import errno
import os
import subprocess
import sys
import threading

import pytest

from ebt_hardware.bench.realtime import PRIORITY, realtime
from ebt_hardware.config.benches import load_bench

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="real-time scheduling is Linux's")
FORBIDDEN = """
import os, resource
from ebt_hardware.config.benches import load_bench
from ebt_hardware.bench.realtime import realtime
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.geteuid() == 0:
    os.setuid(65534)
with realtime() as granted:
    print(granted, os.sched_getscheduler(0))
"""


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def test_the_thread_has_priority_inside_and_is_ordinary_again_outside() -> None:
    with realtime() as granted:
        inside = policy(), os.sched_getparam(0).sched_priority
    assert inside == ((os.SCHED_FIFO, PRIORITY) if granted else (os.SCHED_OTHER, 0))
    assert policy() == os.SCHED_OTHER


def test_threads_started_inside_stay_ordinary() -> None:
    found: list[int] = []
    with realtime():
        thread = threading.Thread(target=lambda: found.append(policy()))
        thread.start()
        thread.join()
    assert found == [os.SCHED_OTHER]


def test_where_the_system_forbids_it_nothing_changes() -> None:
    ended = subprocess.run([sys.executable, "-c", FORBIDDEN], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", str(os.SCHED_OTHER)]


def test_a_sandbox_without_the_call_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "sched_getscheduler", refuse)
    with realtime() as granted:
        assert not granted


def test_a_live_bench_is_in_real_time_while_it_is_open() -> None:
    with realtime() as granted:
        pass
    file = load_bench("twin_live").model_copy(update={"cameras": {}})
    with file.open():
        inside = policy()
    assert inside == (os.SCHED_FIFO if granted else os.SCHED_OTHER)
    assert policy() == os.SCHED_OTHER
