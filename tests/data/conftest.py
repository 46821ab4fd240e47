"""Fixtures shared by all tests of the episode package: benches, steps and recorded episodes."""

import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import (
    PAUSE,
    Actor,
    BenchSpec,
    CameraSpec,
    Decision,
    Event,
    Frame,
    MotorReading,
    Observation,
    Outcome,
    Step,
)

HEIGHT, WIDTH = 48, 64
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@lru_cache(maxsize=4096)
def smooth_image(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """[H, W, 3] uint8 that JPEG compresses with little error, unique to the seed."""
    y, x = np.mgrid[0:height, 0:width]
    phase = np.array([0.0, 1.0, 2.0]) + seed
    waves = np.sin(x[..., None] / 9 + phase) + np.cos(y[..., None] / 7 + phase)
    return ((waves + 2) * 60).astype(np.uint8)


def bench_spec(*, lockstep: bool = True, depth: bool = False, rate_hz: float = 50.0) -> BenchSpec:
    cameras = {
        "top": CameraSpec(HEIGHT, WIDTH, 30.0),
        "wrist": CameraSpec(HEIGHT, WIDTH, 30.0, 1e-4 if depth else None),
    }
    return BenchSpec("twin", JOINTS, cameras, rate_hz, sim=True, task="pick_place", lockstep=lockstep)


def frame_of(number: int, *, depth: bool = False) -> Frame:
    counts = np.full((HEIGHT, WIDTH), 1000 + number, np.uint16) if depth else None
    return Frame(smooth_image(number), number, number / 30, "global_time", number / 30 + 0.004, 0.012, False, counts)


def step_of(row: int, spec: BenchSpec, events: tuple[Event, ...] = ()) -> Step:
    """A step whose values differ from those of every other row and column."""
    joints = np.arange(6, dtype=np.float32) / 10 + row
    time_s = row / spec.rate_hz
    number = row * 3 // 5  # 30 Hz cameras on a 50 Hz loop
    frames = {
        name: frame_of(number + 1000 * index, depth=camera.depth_unit_m is not None)
        for index, (name, camera) in enumerate(spec.cameras.items())
    }
    privileged = {"cube": np.full(7, row + 0.5, np.float32)}
    motors = (MotorReading(row % 6, 30.5 + row, 5.0 - row / 100, row % 2),) if row % 3 == 2 else ()
    observation = Observation(time_s, time_s + 0.002, joints, joints + 100, joints + 200, frames, privileged, motors)
    decision = Decision(
        joints + 300,
        Actor.POLICY,
        energy=row + 0.1,
        score=row + 0.2,
        threshold=row + 0.3,
        steps_used=row + 4,
        trace=(row + 3.0, row + 2.0, row + 1.0),
        plan_age_s=0.05,
        latency_s=0.03,
        attempt=2,
    )
    return Step(observation, decision, joints + 400, time_s + 0.005, skipped=row % 2, events=events)


META = EpisodeMeta(
    kind="rollout",
    task="pick_place",
    seed=7,
    operator="Zoë",
    calibration={"follower": {"offset": [1, 2, 3]}},
    bench="twin",
    policy="runs/a",
    versions={"ebt": "0.1.0"},
)


@pytest.fixture
def spec() -> BenchSpec:
    return bench_spec()


@pytest.fixture
def make_spec() -> Callable[..., BenchSpec]:
    return bench_spec


@pytest.fixture
def make_step() -> Callable[..., Step]:
    return step_of


@pytest.fixture
def meta() -> EpisodeMeta:
    return META


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes an episode of `rows` rows in this process and returns its path."""

    def write(
        rows: int,
        spec: BenchSpec | None = None,
        outcome: Outcome = Outcome.SUCCESS,
        *,
        complete: bool = True,
        pauses: Collection[int] = (),
    ) -> Path:
        """`pauses`: the rows that follow a pause."""
        spec = bench_spec() if spec is None else spec
        writer = EpisodeWriter(tmp_path, spec, META, reserve_bytes=0)
        for row in range(rows):
            writer.append(step_of(row, spec, (Event(PAUSE),) if row in pauses else ()))
        return writer.commit(outcome, complete=complete)

    return write


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate disk of 5 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def copy_to_edit(path: Path) -> Path:
    copy = path.with_name("copy.h5")
    copy.write_bytes(path.read_bytes())
    return copy


def message_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        Episode(path)
    return str(caught.value)


@pytest.fixture
def cut_off(
    make_spec: Callable[..., BenchSpec], make_step: Callable[..., Step], meta: EpisodeMeta, tmp_path: Path
) -> Path:
    """A `.part` of 300 rows, six seconds, with depth."""
    spec = make_spec(depth=True, lockstep=False)
    writer = EpisodeWriter(tmp_path, spec, meta, reserve_bytes=0)
    for row in range(300):
        writer.append(make_step(row, spec, (Event("mark", "here"),) if row in (100, 296) else ()))
    writer.abandon()
    return writer.path
