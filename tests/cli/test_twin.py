import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_twin_is_served_until_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ebt_cli", "twin", "--links", str(tmp_path / "ports")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        rows = [served.stdout.readline().rstrip("\n").split("\t") for _ in range(3)]
        assert [row[0] for row in rows] == ["arm", "follower", "leader"]
        for _, port, _ in rows[1:]:
            mode = os.stat(port).st_mode  # noqa: PTH116
            assert stat.S_ISCHR(mode)
            assert stat.S_IMODE(mode) == 0o600
        served.send_signal(signal.SIGINT)
        _, err = served.communicate(timeout=60)
    assert served.returncode == 0, err
    assert "Traceback" not in err
