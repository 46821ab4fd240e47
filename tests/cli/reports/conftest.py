"""Demonstrations whose motion, pictures and timing are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_cli.reports.demonstrations import report_one
from ebt_cli.reports.episode_summary import facts
from ebt_cli.terminal.verdict import Grade, Report
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, Decision, Frame, Observation, Outcome, Step

ROWS = 60


def step(spec: BenchSpec, row: int, *, still: bool = False, dark: bool = False, lag_rad: float = 0.0) -> Step:
    """An arm that turns on and on, and whose gripper closes in row 20 and opens in row 40."""
    time_s = row / spec.rate_hz
    pose = np.full(len(spec.joints), 0.0 if still else 0.02 * row, np.float32)
    pose[-1] = 0.0 if 20 <= row < 40 and not still else 1.4
    noise = np.random.default_rng(row).integers(0, 2 if dark else 256, (16, 16, 3)).astype(np.uint8)
    frames = {name: Frame(noise, row, time_s, "global_time", time_s, 0.01, repeated=False) for name in spec.cameras}
    seen = Observation(time_s, time_s, pose - np.float32(lag_rad), pose, pose, frames)
    return Step(seen, Decision(pose, Actor.HUMAN), pose, time_s, 1 if row % 10 == 9 and dark else 0)


@pytest.fixture
def record(spec: BenchSpec, tmp_path: Path) -> Any:
    def make(**how: Any) -> Path:
        with Recorder(tmp_path, spec) as recorder:
            recorder.start(EpisodeMeta("demo", "pick_place", seed=1, operator="leader", bench="small"))
            for row in range(ROWS):
                recorder.append(step(spec, row, **how))
            return recorder.finish(Outcome.SUCCESS)

    return make


def grades(report: Report) -> dict[str, Grade]:
    return {reason.name: reason.grade for reason in report.reasons}


def judged(path: Path) -> Report:
    with Episode(path) as episode:
        return report_one(episode, facts(episode))


def pose(time_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """[..., 3] three joints that start and stop at times of their own."""
    ways = [np.cumsum(np.sin(7 * k * np.arange(0, 12, 0.01) + k) > 0.3) * 0.02 for k in (1, 1.7, 0.6)]
    return np.stack([np.interp(time_s + 1, np.arange(0, 12, 0.01), way) for way in ways], axis=-1).astype(np.float32)
