"""A small bench in memory, steps on it, episodes recorded from them, and folders as the verbs leave them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebt_cli.app import run
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, CameraSpec, Decision, Event, Frame, Observation, Outcome, Step
from ebt_recipes.loop.recording import Tick

RUN = Path(__file__).parents[1] / "runs" / "pick_place"
RECIPE = "[training]\nmax_steps = 3\nbatch = 4\nwarmup_steps = 1\n"
FAST = {**os.environ, "OMP_NUM_THREADS": "1"}
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
SPEC = BenchSpec(
    name="small",
    joints=JOINTS,
    cameras={"top": CameraSpec(16, 16, 20.0), "wrist": CameraSpec(16, 16, 20.0)},
    rate_hz=20.0,
    sim=True,
    task="pick_place",
    lockstep=True,
)


def rollout_step(row: int) -> Step:
    """A policy's step whose score rises over its threshold in row 20 and is retried from row 22 on."""
    time_s = row / SPEC.rate_hz
    pose = np.full(len(JOINTS), 0.01 * row, np.float32)
    frames = {
        name: Frame(
            np.full((16, 16, 3), row % 256, np.uint8), row, time_s, "global_time", time_s, 0.004, repeated=False
        )
        for name in SPEC.cameras
    }
    events = (Event("rise", "score 3 over 2"),) if row == 20 else ()
    decision = Decision(
        pose,
        Actor.RETRY if row >= 22 else Actor.POLICY,
        energy=1.0 + 0.1 * row,
        score=1.0 + 0.1 * row,
        threshold=2.9,
        steps_used=3,
        trace=(5.0, 2.0, 1.0, 0.5) if row % 8 == 0 else (),
        plan_age_s=0.05,
        latency_s=0.02,
        attempt=1 + (row >= 25),
        events=events,
    )
    return Step(Observation(time_s, time_s, pose, pose, pose, frames), decision, pose, time_s, 0, events)


@pytest.fixture
def spec() -> BenchSpec:
    return SPEC


@pytest.fixture
def ticks() -> Callable[[int], list[Tick]]:
    """Make so many ticks of one rollout."""
    return lambda count: [
        Tick(1, 10, 7, rollout_step(row), success=False, seconds=rollout_step(row).observation.time_s, limit_s=15.0)
        for row in range(count)
    ]


@pytest.fixture
def bare_ticks(ticks: Callable[[int], list[Tick]]) -> Callable[[int], list[Tick]]:
    """The same of a policy without calibration: no threshold, and nothing is retried."""

    def bare(tick: Tick) -> Tick:
        decision = replace(tick.step.decision, threshold=np.nan, actor=Actor.POLICY, attempt=1)
        return replace(tick, step=replace(tick.step, decision=decision, events=()))

    return lambda count: [bare(tick) for tick in ticks(count)]


@pytest.fixture(scope="session")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded rollout of 30 rows; its folder holds nothing else."""
    folder = tmp_path_factory.mktemp("episodes")
    with Recorder(folder, SPEC) as recorder:
        recorder.start(EpisodeMeta("rollout", "pick_place", seed=7, bench="small", policy="runs/a"))
        for row in range(30):
            recorder.append(rollout_step(row))
        return recorder.finish(Outcome.FAILURE)


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON that the verb prints of a path."""
    assert run(["inspect", str(path), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def grades(found: dict[str, Any]) -> dict[str, str]:
    return {reason["name"]: reason["grade"] for reason in found["reasons"]}


def lines(successes: int, failures: int, first_seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    common = {"seconds": 4.0, "attempts": 1, "kinds": [], "times_s": [0.0, 0.2], "why": "as it ended"} | more
    ends = ["success"] * successes + ["failure"] * failures
    return [
        {**common, "seed": first_seed + n, "outcome": end, "scores": [1.0, 2.0 if end == "success" else 9.0 + n]}
        for n, end in enumerate(ends)
    ]


def write_tally(folder: Path, name: str, lines: list[dict[str, Any]], run_folder: Path) -> None:
    """A tally as the demo writes it, of the weights in `run_folder`, holding these rollouts."""
    from ebt_cli.reports.tally import tally
    from ebt_recipes.loop.recording import Limits
    from ebt_recipes.loop.rollouts import Trained, Trial

    file = folder / f"{name}.jsonl"
    inputs = [run_folder / "model.safetensors", run_folder / "run.json"]
    tally(file, name, Trial("twin", Trained(run_folder), Limits(1.0)), [], inputs)
    with file.open("a") as kept:
        kept.writelines(json.dumps(line) + "\n" for line in lines)


def record_demos(folder: Path, spec: BenchSpec, bench: str, ticks: Any, count: int) -> None:
    """So many short demonstrations of that bench, each on a scene of its own."""
    with Recorder(folder, spec) as recorder:
        for seed in range(count):
            recorder.start(EpisodeMeta("demo", spec.task, seed=seed, bench=bench))
            for tick in ticks(5):
                pose = np.full(len(spec.joints), 0.1 * seed, np.float32)
                seen = replace(tick.step.observation, position=pose, velocity=pose, effort=pose)
                frames = {name: frame for name, frame in seen.frames.items() if name in spec.cameras}
                decision = Decision(pose, Actor.HUMAN)
                recorder.append(
                    replace(
                        tick.step, observation=replace(seen, frames=frames), decision=decision, sent=pose, events=()
                    )
                )
            recorder.finish(Outcome.SUCCESS)


@pytest.fixture
def labelled(rollout: Path, tmp_path: Path) -> Path:
    """A folder of three: a failure, one that a person calls a success, one that is excluded."""
    for name in ("a", "b", "c"):
        shutil.copy(rollout, tmp_path / f"{name}.h5")
    run(["label", str(tmp_path / "b.h5"), "--success", "--tag", "x", "--note", "odd"])
    run(["label", str(tmp_path / "c.h5"), "--exclude", "--tag", "x"])
    return tmp_path


@pytest.fixture
def demo(tmp_path: Path, rollout: Path) -> Path:
    """A demo's folder: a trained run, rollouts on many scenes, and one recorded rollout in place of demonstrations."""
    shutil.copytree(RUN, tmp_path / "run")
    for name in ("episodes", "rollouts"):
        (tmp_path / name).mkdir()
        shutil.copy(rollout, tmp_path / name)
    write_tally(tmp_path, "policy", lines(49, 1), tmp_path / "run")
    write_tally(tmp_path, "cameras_blacked_out", lines(0, 20), tmp_path / "run")
    write_tally(tmp_path, "knocked_with_retry", lines(18, 2), tmp_path / "run")
    write_tally(tmp_path, "knocked_without", lines(9, 11), tmp_path / "run")
    write_tally(tmp_path, "clean_with_retry", lines(20, 0), tmp_path / "run")
    return tmp_path


@pytest.fixture(scope="session")
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
