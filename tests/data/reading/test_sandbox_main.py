"""The reader process: memory limit, time limit and bugs."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ebt_data.reading import sandbox
from tests.data.reading.conftest import foreign

Record = Callable[..., Path]


def test_a_reader_in_an_endless_loop_ends_by_itself() -> None:
    script = "import ebt_data.reading.sandbox_main as r; r._read = lambda *_: [0 for _ in iter(int, 1)]; r.main()"
    done = subprocess.run([sys.executable, "-c", script], check=False, input=b'["/x", -1]\n', capture_output=True)
    assert done.returncode == -signal.SIGALRM


def test_a_lower_memory_limit_is_not_reported_as_damage(record: Record) -> None:
    path = foreign(record(3))
    command = [
        sys.executable,
        "-c",
        f"import sys; from ebt_data.reading.episode import Episode; Episode(__import__('pathlib').Path({str(path)!r}))",
    ]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -v 5000000; exec "$@"', "-", *command], check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_bug_in_the_reader_is_reported_with_its_traceback() -> None:
    reader = sandbox._reader()
    assert reader.stdin is not None and reader.stdout is not None
    reader.stdin.write(b"5\n")  # not a valid request
    reader.stdin.flush()
    _, kind, traceback = json.loads(reader.stdout.readline())
    assert kind == sandbox.BUG
    assert "Traceback" in traceback
