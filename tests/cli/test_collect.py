"""`ebt collect` on the twin, as a person types and stops it."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ebt_cli.app import run
from ebt_cli.collect import Operator
from ebt_cli.terminal.folder_lock import claim
from ebt_data.reading.episode import Episode, list_episodes
from tests.cli.conftest import FAST

CONTROLLED = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that closing it hangs up on this process
from ebt_cli.__main__ import main
main()
"""


@pytest.mark.slow
def test_collect_leaves_stamped_demonstrations(workplace: Path) -> None:
    for seed, path in enumerate(list_episodes(workplace / "demos")):
        with Episode(path) as episode:
            assert episode.spec.sim
            assert episode.meta.operator == "scripted"
            assert episode.meta.seed == seed
            assert episode.meta.versions["ebt"] == "0.1.0"
            assert episode.outcome == "success"


@pytest.mark.slow
def test_collect_goes_on_where_it_was(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["collect", "-n", "2", "--out", str(workplace / "demos")]) == 0
    out, err = capsys.readouterr()
    assert out == "episode\n"
    assert "2 of 2 demonstrations" in err


def test_the_keyboard_is_refused_where_time_does_not_wait_for_a_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["collect", "--operator", "keyboard", "--out", str(tmp_path / "demos")]) == 2
    told = capsys.readouterr().err
    assert "lock-step" in told and "--bench twin_live" in told
    assert not (tmp_path / "demos").exists()


@pytest.mark.slow
def test_a_piped_collect_has_no_escapes_and_may_keep_every_pixel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ebt_cli", "collect", "-n", "1", "--lossless", "--operator", Operator.LEADER]
    command += ["--out", "demos"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "episode\ndemos/episode_0000.h5\n"
    assert "\x1b" not in done.stderr and len(done.stderr.splitlines()) < 5
    with Episode(tmp_path / "demos" / "episode_0000.h5") as episode:
        assert {episode.blob(camera, 0)[:4] for camera in episode.spec.cameras} == {b"qoif"}


STOPPED_AT_A_ROW = """
import os, signal, sys
from ebt_cli.__main__ import main
from ebt_data.recording import ipc
handed, rows = ipc.send, []
def send(to, message, file):
    handed(to, message, file)
    if message[0] == "row":
        rows.append(message)
        if len(rows) == 5:
            os.kill(os.getpid(), signal.SIGINT)
ipc.send = send
sys.argv = ["ebt", "collect", "--bench", "twin_state", "-n", "1", "--out", "demos"]
try:
    main()
finally:
    print(len(rows))
"""


STOPPED_AT_A_START = """
import os, signal, sys
from ebt_cli.__main__ import main
from ebt_data.recording import ipc
handed, rows = ipc.send, []
def send(to, message, file):
    handed(to, message, file)
    if message[0] == "start":
        os.kill(os.getpid(), signal.SIGINT)
ipc.send = send
sys.argv = ["ebt", "collect", "--bench", "twin_state", "-n", "1", "--out", "demos"]
try:
    main()
finally:
    print(len(rows))
"""


@pytest.mark.slow
def test_a_ctrl_c_while_a_row_is_handed_over_is_no_bug_and_keeps_every_row(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_A_ROW], cwd=tmp_path, env=FAST, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 130, ran.stderr
    assert "Traceback" not in ran.stderr
    with Episode(list_episodes(tmp_path / "demos")[0]) as episode:
        assert len(episode) == int(ran.stdout) >= 5


@pytest.mark.slow
def test_a_ctrl_c_while_an_episode_starts_leaves_no_part_behind(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_A_START], cwd=tmp_path, env=FAST, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 130, ran.stderr
    assert not list((tmp_path / "demos").glob("*.part"))


@pytest.mark.slow
def test_a_second_collect_in_one_folder_is_refused(tmp_path: Path) -> None:
    with claim(tmp_path / "demos", "ebt collect"):
        assert run(["collect", "--bench", "twin_state", "-n", "1", "--out", str(tmp_path / "demos")]) == 1
    assert not list_episodes(tmp_path / "demos")


@pytest.mark.slow
def test_an_interrupted_collect_parks_keeps_its_rows_and_exits_130(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "ebt_cli", "collect", "-n", "500", "--out", "demos"],
        cwd=tmp_path,
        env=FAST,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not list((tmp_path / "demos").glob("*.h5")):
        assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert not list((tmp_path / "demos").glob("*.part"))
    assert len(list_episodes(tmp_path / "demos")) >= 1


@pytest.mark.slow
def test_a_closed_terminal_is_a_safe_stop_even_with_a_live_screen(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, "collect", "-n", "500", "--out", "demos"],
        cwd=tmp_path,
        env={**FAST, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    while not list((tmp_path / "demos").glob("*.h5")):
        assert child.poll() is None and os.read(ours, 65536)
    os.close(ours)
    assert child.wait(timeout=60) == 130
    assert not list((tmp_path / "demos").glob("*.part"))
