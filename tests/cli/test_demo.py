"""A demo that is killed goes on where it was; its folder takes one demo, and one process, at a time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from ebt_cli.demo_stages.folder import check_same, check_space
from ebt_cli.terminal.folder_lock import claim
from ebt_data.errors import DataError, MisuseError, TaskFailed
from ebt_data.reading.episode import Episode, list_episodes

SMALL = Path(__file__).with_name("small_demo.py")
PATIENCE_S = 120.0


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(SMALL), "--out", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def family(pid: int) -> set[int]:
    """Process ids of everything that descends from `pid`."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def living(pids: set[int]) -> set[int]:
    states = {}
    for pid in pids:
        try:
            states[pid] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return {pid for pid, state in states.items() if state != "Z"}


def stop_once(folder: Path, sign: Path, number: int) -> tuple[int, str]:
    """Send a signal to the demo as soon as `sign` is there; nothing that it started may outlive it."""
    demo = start(folder)
    deadline_s = monotonic() + PATIENCE_S
    while not sign.exists() or not family(demo.pid):
        assert demo.poll() is None and monotonic() < deadline_s
        os.sched_yield()
    started = family(demo.pid)
    demo.send_signal(number)
    _, talk = demo.communicate(timeout=PATIENCE_S)
    while living(started):
        assert monotonic() < deadline_s, "it left processes behind"
        os.sched_yield()
    return demo.returncode, talk


@pytest.mark.slow
def test_a_killed_demo_goes_on_and_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    code, _ = stop_once(folder, folder / "run" / "model.safetensors", signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, talk = stop_once(folder, folder / "policy.jsonl", signal.SIGTERM)
    assert code == 130
    assert talk.splitlines()[-1] == "stopped; finished stages are kept: the same command resumes from there"
    kept = (folder / "run" / "model.safetensors").read_bytes()
    demo = start(folder)
    table, talk = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, talk
    assert [line.split("\t")[0] for line in table.splitlines()][:2] == ["what", "policy"]
    assert "trained already" in talk and (folder / "run" / "model.safetensors").read_bytes() == kept
    seeds = []
    for path in list_episodes(folder / "episodes"):
        with Episode(path) as episode:
            seeds += [episode.meta.seed] if episode.outcome == "success" else []
    assert seeds == [0, 1]
    assert [json.loads(line)["seed"] for line in (folder / "policy.jsonl").read_text().splitlines()[1:]] == [100_000]


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


def test_a_folder_goes_on_with_the_demo_it_was_begun_with(tmp_path: Path) -> None:
    check_same(tmp_path, {"size": {"rollouts": 10}, "recipe": {"training": {"betas": (0.9, 0.95)}}})
    check_same(tmp_path, {"size": {"rollouts": 10}, "recipe": {"training": {"betas": (0.9, 0.95)}}})
    with pytest.raises(MisuseError, match=r"size\.rollouts 10 \(now 50\)") as refused:
        check_same(tmp_path, {"size": {"rollouts": 50}, "recipe": {"training": {"betas": (0.9, 0.95)}}})
    assert f"rm -r {tmp_path}" in refused.value.hint


def test_newer_code_in_an_old_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_same(tmp_path, {"size": 1})
    stamp = tmp_path / "demo.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"code": "older"}))
    check_same(tmp_path, {"size": 1})
    assert "has changed since" in capsys.readouterr().err


def test_a_demo_that_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the demo needs 10000000\d\d MB"):
        check_space(tmp_path, 10**9)
