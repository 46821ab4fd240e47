import signal
import subprocess
import sys

import pytest

BEGIN = "import os, signal, threading\nfrom ebt_cli import stops\ncame = stops.listen()\n"
WAIT = "threading.Event().wait(30); print('not stopped')\n"


def ran(code: str, *before: str) -> str:
    done = subprocess.run([*before, sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_stop_is_an_interrupt(name: str) -> None:
    code = f"try:\n os.kill(os.getpid(), signal.{name}); {WAIT}except KeyboardInterrupt: print('stopped', len(came))"
    assert ran(code) == "stopped 1"


STOPPED = "try:\n os.kill(os.getpid(), signal.{first}); " + WAIT + "except KeyboardInterrupt:\n try:\n"
PARKED = " except KeyboardInterrupt: print('released')\n else: print('parked', len(came))"


@pytest.mark.parametrize("again", ["SIGHUP", "SIGTERM"])
def test_a_closed_terminal_that_says_so_twice_lets_the_arm_park(again: str) -> None:
    assert ran(STOPPED.format(first="SIGHUP") + f"  os.kill(os.getpid(), signal.{again})\n" + PARKED) == "parked 2"


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_ctrl_c_while_it_parks_is_heard(first: str) -> None:
    assert ran(STOPPED.format(first=first) + f"  os.kill(os.getpid(), signal.SIGINT); {WAIT}" + PARKED) == "released"


def test_a_stop_that_hits_a_finaliser_is_asked_for_again() -> None:
    dying = "class Dying:\n def __del__(self): os.kill(os.getpid(), signal.SIGTERM); sum(range(10))\n"
    assert ran(f"{dying}try:\n Dying(); {WAIT}except KeyboardInterrupt: print('stopped')") == "stopped"


def test_a_stop_is_asked_for_again_where_ctrl_c_is_ignored() -> None:
    """As in a background job of a script."""
    dying = "class Dying:\n def __del__(self): os.kill(os.getpid(), signal.SIGTERM); sum(range(10))\n"
    code = f"{dying}try:\n Dying(); {WAIT}except KeyboardInterrupt: print('stopped', len(came))"
    assert ran(code, "sh", "-c", "trap '' INT; exec \"$@\"", "sh") == "stopped 1"


def test_after_the_end_a_stop_is_not_waited_for() -> None:
    code = BEGIN + "stops.end(); os.kill(os.getpid(), signal.SIGTERM); " + WAIT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_nohup_is_respected() -> None:
    assert ran("os.kill(os.getpid(), signal.SIGHUP); print('going on')", "nohup") == "going on"
