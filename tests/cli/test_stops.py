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


def test_a_stop_that_hits_a_finaliser_is_asked_for_again() -> None:
    dying = "class Dying:\n def __del__(self): os.kill(os.getpid(), signal.SIGTERM); sum(range(10))\n"
    assert ran(f"{dying}try:\n Dying(); {WAIT}except KeyboardInterrupt: print('stopped')") == "stopped"


def test_nohup_is_respected() -> None:
    assert ran("os.kill(os.getpid(), signal.SIGHUP); print('going on')", "nohup") == "going on"
