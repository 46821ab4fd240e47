"""Small real episodes: an arm reaches for a square visible only to the camera, closes its gripper and lifts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from ebt_data.meta import EpisodeMeta
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import Actor, BenchSpec, CameraSpec, Decision, Frame, Observation, Outcome, Step
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.loop import run_episode
from ebt_recipes.policy.energy_policy import EnergyPolicy

SIDE = 32  # pixels
REACH = BenchSpec("toy", ("pan", "lift", "gripper"), {"top": CameraSpec(SIDE, SIDE, 20.0)}, 20.0, True, "reach", True)


def picture(place: np.ndarray, position: np.ndarray) -> np.ndarray:
    """[H, W, 3]: a red square at `place` (-1 .. 1 across, down) and a green one at the arm."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    for where, colour in ((place, (230, 40, 40)), (position[:2], (40, 230, 40))):
        across, down = np.clip((where + 1) / 2 * (SIDE - 6), 0, SIDE - 6).astype(int)
        image[down : down + 6, across : across + 6] = colour
    return image


def reach(place: np.ndarray, rows: int) -> np.ndarray:
    """[rows, 3] rad: goals that go to `place`, close the gripper two thirds of the way through, and lift."""
    part = np.linspace(0, 1, rows)[:, None]
    goals = np.concatenate([place * np.clip(part * 2, 0, 1), np.where(part > 0.66, 0.0, 0.8)], axis=1)
    goals[:, 1] += 0.3 * np.clip((part[:, 0] - 0.7) / 0.3, 0, 1)
    return goals.astype(np.float32)


def write_reach(folder: Path, seed: int, rows: int, outcome: Outcome = Outcome.SUCCESS, task: str = "reach") -> Path:
    random = np.random.default_rng(seed)
    place = random.uniform(-0.8, 0.8, 2).astype(np.float32)
    goals = reach(place, rows)
    calibration = {"follower": {"offset": [1, 2, 3]}}
    writer = EpisodeWriter(
        folder, replace(REACH, task=task), EpisodeMeta("demo", task, seed, calibration=calibration), reserve_bytes=0
    )
    position = np.array([0, 0, 0.8], np.float32)
    for row, goal in enumerate(goals):
        frame = Frame(picture(place, position), row, row / 20, "global_time", row / 20, 0.0, False)
        observation = Observation(
            row / 20, row / 20, position, 0 * goal, 0 * goal, {"top": frame}, {"cube": np.append(place, [0] * 5)}
        )
        writer.append(Step(observation, Decision(goal, Actor.HUMAN), goal, row / 20))
        position = position + 0.7 * (goal - position)
    return writer.commit(outcome)


def decisions(twin: Bench, policy: EnergyPolicy, ticks: int) -> list[Decision]:
    return [step.decision for step in islice(run_episode(twin, policy, seed=1), ticks)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, and much slower while other tests run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def record_reach(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes `count` successful demonstrations of `rows` rows each."""

    def write(count: int, rows: int = 24, task: str = "reach") -> list[Path]:
        return [write_reach(tmp_path / "episodes", seed, rows, task=task) for seed in range(count)]

    return write


@pytest.fixture
def reach_spec() -> BenchSpec:
    return REACH
