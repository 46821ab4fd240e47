"""A small bench in memory, steps on it, and an episode recorded from them by the real recorder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, CameraSpec, Decision, Event, Frame, Observation, Outcome, Step
from ebt_recipes.loop.recording import Tick

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
