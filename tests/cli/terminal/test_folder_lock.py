"""A folder takes one process at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ebt_cli.terminal.folder_lock import claim
from ebt_data.errors import TaskFailed


def test_a_second_demo_in_one_folder_is_refused(tmp_path: Path) -> None:
    other = pytest.raises(TaskFailed, match="another ebt demo works in")
    with claim(tmp_path, "ebt demo"), other, claim(tmp_path, "ebt demo"):
        pass


def test_the_claim_of_a_killed_process_does_not_last(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from ebt_cli.terminal.folder_lock import claim; import os, signal\n\
with claim(Path({str(tmp_path)!r}), 'ebt demo'): os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    with claim(tmp_path, "ebt demo"):
        assert (tmp_path / ".lock").exists()
