"""The lag between pictures and joints: estimated where it is known, and not where the data cannot determine it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_cli.app import run
from ebt_cli.reports.sync import Moves, between, lag
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, Decision, Frame, Observation, Outcome, Step

SECONDS = 8.0


def pose(time_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """[..., 3] three joints that start and stop at times of their own."""
    ways = [np.cumsum(np.sin(7 * k * np.arange(0, 12, 0.01) + k) > 0.3) * 0.02 for k in (1, 1.7, 0.6)]
    return np.stack([np.interp(time_s + 1, np.arange(0, 12, 0.01), way) for way in ways], axis=-1).astype(np.float32)


def seen(lag_s: float, seed: int = 0, noise: float = 0.02) -> Moves:
    """Pictures at 30 Hz that change as the joints did `lag_s` before their stamps, joints read at 20 Hz."""
    rng = np.random.default_rng(seed)
    taken_s, read_s = np.arange(0.01, SECONDS, 1 / 30), np.arange(0.002, SECONDS, 0.05)
    way = np.abs(np.diff(pose(taken_s - lag_s), axis=0)) @ (3.0, 1.0, 2.0)
    return between(taken_s, way + 0.5 + noise * rng.standard_normal(len(way)), read_s, pose(read_s))


@pytest.mark.parametrize("lag_s", [-0.12, -0.03, 0.0, 0.045, 0.2])
def test_a_known_lag_is_found_within_its_interval(lag_s: float) -> None:
    found = lag([seen(lag_s)])
    assert found is not None
    assert found.lag_s == pytest.approx(lag_s, abs=0.012)
    assert found.low_s - 0.006 <= lag_s <= found.high_s + 0.006
    assert found.high_s - found.low_s < 0.06


def test_more_episodes_narrow_the_interval() -> None:
    alone, together = (lag([seen(0.06, seed, noise=0.15) for seed in range(count)]) for count in (1, 8))
    assert alone is not None
    assert together is not None
    assert together.lag_s == pytest.approx(0.06, abs=0.01)
    assert together.high_s - together.low_s < alone.high_s - alone.low_s


def test_there_is_no_estimate_where_nothing_or_something_else_moves() -> None:
    rng = np.random.default_rng(1)
    assert lag([seen(0.0, noise=50.0)]) is None
    assert lag([Moves(part.ways[:, :9], part.changes[:9]) for part in [seen(0.0)]]) is None
    still = seen(0.0)
    assert lag([Moves(np.ones_like(still.ways), rng.random(len(still.changes)))]) is None


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


def test_an_empty_folder_has_no_lag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--sync"]) == 5
    assert "holds no episode" in capsys.readouterr().err


def report(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["inspect", str(path), "--sync", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


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


@pytest.mark.parametrize("option", [["--list"], ["--only", "failure"], ["--plot", "x.png"]])
def test_sync_cannot_be_combined(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--sync", *option]) == 2
    assert "--sync cannot be combined" in capsys.readouterr().err
