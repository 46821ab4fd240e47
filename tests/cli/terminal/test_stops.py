import signal
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = "import os, signal, sys, threading\nfrom ebt_cli.terminal import stops\nstops.listen()\n"
WAIT = "threading.Event().wait(30); print('not stopped')\n"


def ran(code: str, *before: str) -> str:
    done = subprocess.run([*before, sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_stop_is_an_interrupt(name: str) -> None:
    code = f"try:\n os.kill(os.getpid(), signal.{name}); {WAIT}except KeyboardInterrupt: print('stopped')"
    assert ran(code) == "stopped"


STOPPED = "try:\n os.kill(os.getpid(), signal.{first}); " + WAIT + "except KeyboardInterrupt:\n try:\n"
PARKED = " except KeyboardInterrupt: print('released')\n else: print('parked')"


@pytest.mark.parametrize("again", ["SIGHUP", "SIGTERM"])
def test_a_closed_terminal_that_says_so_twice_lets_the_arm_park(again: str) -> None:
    assert ran(STOPPED.format(first="SIGHUP") + f"  os.kill(os.getpid(), signal.{again})\n" + PARKED) == "parked"


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_ctrl_c_while_it_parks_is_heard(first: str) -> None:
    assert ran(STOPPED.format(first=first) + f"  os.kill(os.getpid(), signal.SIGINT); {WAIT}" + PARKED) == "released"


def test_a_stop_that_hits_a_finaliser_is_asked_for_again() -> None:
    dying = "class Dying:\n def __del__(self): os.kill(os.getpid(), signal.SIGTERM); sum(range(10))\n"
    assert ran(f"{dying}try:\n Dying(); {WAIT}except KeyboardInterrupt: print('stopped')") == "stopped"


def test_a_stop_is_asked_for_again_where_ctrl_c_is_ignored() -> None:
    """As in a background job of a script."""
    dying = "class Dying:\n def __del__(self): os.kill(os.getpid(), signal.SIGTERM); sum(range(10))\n"
    code = f"{dying}try:\n Dying(); {WAIT}except KeyboardInterrupt: print('stopped')"
    assert ran(code, "sh", "-c", "trap '' INT; exec \"$@\"", "sh") == "stopped"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_module_is_imported_to_its_end_first(tmp_path: Path, name: str) -> None:
    """Interrupted there, a stop may come out as another error, and `python -m` may end as if nobody had caught it."""
    (tmp_path / "half.py").write_text(f"import os, signal\nexec('os.kill(os.getpid(), signal.{name})')\nwhole = True\n")
    (tmp_path / "program.py").write_text(f"""{BEGIN}
try:
    import half
    {WAIT}
except KeyboardInterrupt: print('stopped', half.whole)
stops.end()
sys.exit(7)
""")
    done = subprocess.run([sys.executable, "-m", "program"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "stopped True\n", "")


def test_a_second_stop_while_something_is_imported_is_still_one_stop(tmp_path: Path) -> None:
    again = "os.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "half.py").write_text(f"import os, signal\n{again}{again}")
    code = f"sys.path.insert(0, {str(tmp_path)!r})\ntry:\n import half; {WAIT}except KeyboardInterrupt:\n"
    assert ran(code + " print('stopped', signal.getitimer(signal.ITIMER_REAL)[0])") == "stopped 0.0"


def test_a_stop_that_was_put_off_goes_to_whoever_handles_it_by_then(tmp_path: Path) -> None:
    """As a training does, which ends at a moment of its own choice."""
    (tmp_path / "half.py").write_text(
        "import os, signal, threading\ncame = threading.Event()\nos.kill(os.getpid(), signal.SIGTERM)\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: came.set())\n"
    )
    assert ran(f"sys.path.insert(0, {str(tmp_path)!r})\nimport half; print(half.came.wait(30))") == "True"


def test_a_marked_function_is_gone_through_first() -> None:
    code = (
        "from ebt_data.files.deferred_signals import defer_signals\ndone = []\n@defer_signals\ndef whole():\n"
        " os.kill(os.getpid(), signal.SIGTERM); done.append(sum(range(10)))\n"
    )
    assert ran(f"{code}try:\n whole(); {WAIT}except KeyboardInterrupt: print('stopped', done)") == "stopped [45]"


def test_after_the_end_a_stop_is_not_waited_for() -> None:
    code = BEGIN + "stops.end(); os.kill(os.getpid(), signal.SIGTERM); " + WAIT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_nohup_is_respected() -> None:
    assert ran("os.kill(os.getpid(), signal.SIGHUP); print('going on')", "nohup") == "going on"
