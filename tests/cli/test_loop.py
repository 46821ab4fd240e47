"""The four commands one after the other on the twin, as a person types them."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ebt_cli import deploy
from ebt_cli.app import run
from ebt_cli.terminal.folder_lock import claim
from ebt_data.reading.episode import Episode, list_episodes
from ebt_hardware.twin.tasks.pick_place import PickPlace
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.conformal import Calibration

RECIPE = "[training]\nmax_steps = 3\nbatch = 4\nwarmup_steps = 1\n"
CONTROLLED = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that closing it hangs up on this process
from ebt_cli.__main__ import main
main()
"""
FAST = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two demonstrations and a run of three updates."""
    folder = tmp_path_factory.mktemp("loop")
    (folder / "tiny.toml").write_text(RECIPE)
    for command in (["collect", "-n", "2", "--out", "demos"], ["train", "tiny.toml", "--data", "demos"]):
        done = subprocess.run(
            [sys.executable, "-m", "ebt_cli", *command],
            cwd=folder,
            env=FAST,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


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


@pytest.mark.slow
def test_train_refuses_to_write_over_a_run(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    assert run(["train", "tiny.toml", "--data", "demos"]) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.slow
def test_inspect_tells_a_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(workplace / "data" / "runs" / "tiny"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["updates"] == 3
    assert told["cameras"] == ["top 96x96", "wrist 96x96"]
    assert told["privileged"] == []


@pytest.mark.slow
def test_deploy_records_energies_and_counts(untrained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", str(untrained.path), "-n", "2", "--seconds", "1", "--out", str(tmp_path / "rollouts")]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert "success 0/2 (0-66 %)" in err
    assert "--calibrate" in err
    with Episode(list_episodes(tmp_path / "rollouts")[0]) as episode:
        assert episode.meta.kind == "rollout"
        assert episode.energy is not None
        assert episode.energy["steps"].max() == 3


@pytest.mark.slow
def test_a_rollout_is_retried_as_often_and_as_long_as_asked(
    untrained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    always_too_high = Calibration(
        alpha=0.05,
        n=60,
        counted=30,
        score="energy",
        window=1,
        rollouts=(),
        times_s=(0,),
        mean=((0,),),
        sd=((1,),),
        k=-99,
    )
    monkeypatch.setattr(deploy, "load_calibration", lambda _: always_too_high)
    asked = ["deploy", str(untrained.path), "-n", "1", "--retries", "1", "--seconds", "6"]
    for more, why, last in (([], "agent gave up", "give_up"), (["--go-on"], "time limit", "rise")):
        assert run([*asked, *more, "--out", str(tmp_path / why)]) == 0
        row = capsys.readouterr().out.splitlines()[1].split("\t")
        assert (row[3], row[5]) == (why, "2")
        with Episode(list_episodes(tmp_path / why)[0]) as episode:
            kinds = [event.kind for event in episode.events]
            assert (kinds.count("replan"), last in kinds[kinds.index("replan") :]) == (1, True)


def test_going_on_after_no_retry_is_refused(untrained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", str(untrained.path), "--no-retry", "--go-on"]) == 2
    assert "--go-on" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_normal_can_be_learnt_from_failures(
    untrained: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PickPlace, "longest_s", 0.4)
    assert run(["deploy", str(untrained.path), "--calibrate", "1"]) == 1
    assert "none of 1 rollouts succeeded" in capsys.readouterr().err
    assert not (untrained.path / "calibration.json").exists()


@pytest.mark.slow
def test_the_energy_and_the_clock_are_calibrated_where_nothing_else_is_asked_for(
    untrained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PickPlace, "longest_s", 0.6)
    monkeypatch.setattr(PickPlace, "succeeded", lambda *_: True)
    assert run(["deploy", str(untrained.path), "--calibrate", "2"]) == 0
    path = untrained.path / "calibration.json"
    assert Calibration.load(path).score == "energy+elapsed"
    path.unlink()


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
