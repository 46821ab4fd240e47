"""A demo that is killed goes on where it was."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from ebt_data.reading.episode import Episode, list_episodes

SMALL = Path(__file__).parent / "demo_stages" / "small_demo.py"
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
