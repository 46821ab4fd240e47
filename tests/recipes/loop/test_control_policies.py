from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.step import Actor, Decision, Observation
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.control_policies import CamerasMasked, ReplayMean


class Onlooker:
    """An agent that remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def reset(self, observation: Observation) -> None:
        self.seen.append(observation)

    def decide(self, observation: Observation) -> Decision:
        self.seen.append(observation)
        return Decision(observation.position, Actor.POLICY)


def test_a_blindfolded_agent_sees_black_but_feels_its_joints(twin: Bench) -> None:
    onlooker, truth = Onlooker(), twin.reset(1)
    blind = CamerasMasked(onlooker)
    blind.reset(truth)
    blind.decide(truth)
    assert all(frame.image.any() for frame in truth.frames.values())
    for seen in onlooker.seen:
        assert set(seen.frames) == set(truth.frames)
        assert not any(frame.image.any() for frame in seen.frames.values())
        assert np.array_equal(seen.position, truth.position)


def demonstrations() -> list[np.ndarray]:
    short = np.array([[0.0], [1.0]], dtype=np.float32)
    long = np.array([[2.0], [3.0], [5.0]], dtype=np.float32)
    return [short, long]


def test_the_mean_demonstration_is_replayed_by_the_clock(twin: Bench) -> None:
    agent, first = ReplayMean(demonstrations(), rate_hz=20.0), replace(twin.reset(1), time_s=7.0)
    agent.reset(first)
    times_s = (7.0, 7.05, 7.1, 99.0)  # a demonstration that has ended counts with its last action
    acts = [float(agent.decide(replace(first, time_s=time_s)).action[0]) for time_s in times_s]
    assert acts == [1.0, 2.0, 3.0, 3.0]


def test_a_skipped_tick_skips_its_action(twin: Bench) -> None:
    agent, first = ReplayMean(demonstrations(), rate_hz=20.0), twin.reset(1)
    agent.reset(first)
    assert agent.decide(replace(first, time_s=0.1)).action[0] == 3.0


def test_no_demonstration_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        ReplayMean.of([], rate_hz=20.0)
