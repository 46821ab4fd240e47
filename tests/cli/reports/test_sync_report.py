"""What `ebt inspect --sync` says of an episode and of a folder of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ebt_cli.app import run
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, Decision, Frame, Observation, Outcome, Step
from tests.cli.reports.conftest import pose


def record(folder: Path, spec: BenchSpec, late_s: float, first: int = 0) -> Path:
    """Pictures that brighten as the arm turns, stamped `late_s` younger than they are; the `first` ones are dropped."""
    dither = np.linspace(0, 1, 16 * 16 * 3).reshape(16, 16, 3)
    with Recorder(folder, spec) as recorder:
        recorder.start(EpisodeMeta("demo", "pick_place"))
        for row in range(160):
            time_s = row / spec.rate_hz
            at = np.resize(pose(np.array(time_s)), len(spec.joints))
            level = 8 * pose(np.array(time_s - 0.01 - late_s)).sum()
            image = (dither + level).astype(np.uint8)
            frames = {
                name: Frame(image, row, time_s - 0.01, "global_time", time_s, 0.01, repeated=False)
                for name in spec.cameras
            }
            recorder.append(
                Step(Observation(time_s, time_s, at, at, at, frames), Decision(at, Actor.HUMAN), at, time_s)
            )
        path = recorder.finish(Outcome.SUCCESS)
    if first:
        path.chmod(0o644)
        with h5py.File(path, "r+") as file:
            for name in spec.cameras:
                file[f"/images/{name}/length"][:first] = 0
        (folder / "SHA256SUMS").unlink()
    return path


def report(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["inspect", str(path), "--sync", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_verb_doubts_a_camera_whose_stamps_are_wrong(
    spec: BenchSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for late_s, grade in ((0.0, "good"), (0.08, "doubtful"), (0.2, "bad")):
        path = record(tmp_path / f"{late_s}", spec, late_s)
        for target in (path, path.parent):
            assert run(["inspect", str(target), "--sync", "--json"]) == 0
            found = json.loads(capsys.readouterr().out)
            assert (found["schema"], found["verdict"]) == ("ebt.sync/1", grade)
            assert found["cameras"]["top"]["lag_ms"] == pytest.approx(1000 * late_s, abs=15)
    with Episode(path) as episode:
        assert len(episode) == 160


def test_rows_without_a_picture_are_skipped(
    spec: BenchSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(record(tmp_path, spec, 0.0, first=3), capsys)
    assert found["cameras"]["top"]["lag_ms"] == pytest.approx(0, abs=15)


def test_of_a_mixed_folder_the_most_frequent_bench_is_measured_and_the_others_are_listed(
    spec: BenchSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for bench in (spec, spec, replace(spec, joints=spec.joints[:3])):
        record(tmp_path, bench, 0.0)
    (tmp_path / "episode_0009.h5").write_bytes(b"no episode")
    found = report(tmp_path, capsys)
    assert found["episodes_looked_at"] == 2
    assert {r["name"]: r["value"] for r in found["reasons"] if "lag" not in r["name"]} == {
        "unreadable": 1,
        "mixed_benches": 1,
    }
