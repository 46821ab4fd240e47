from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.replay import ReplayMean


def demonstrations() -> list[np.ndarray]:
    short = np.array([[0.0], [1.0]], dtype=np.float32)
    long = np.array([[2.0], [3.0], [5.0]], dtype=np.float32)
    return [short, long]


def test_the_mean_demonstration_is_replayed_by_the_clock(twin: Bench) -> None:
    agent, first = ReplayMean(demonstrations(), rate_hz=20.0), replace(twin.reset(1), time_s=7.0)
    agent.reset(first)
    times_s = (7.0, 7.05, 7.1, 99.0)  # a shorter demonstration is padded with its last action
    acts = [float(agent.decide(replace(first, time_s=time_s)).action[0]) for time_s in times_s]
    assert acts == [1.0, 2.0, 3.0, 3.0]


def test_a_skipped_tick_skips_its_action(twin: Bench) -> None:
    agent, first = ReplayMean(demonstrations(), rate_hz=20.0), twin.reset(1)
    agent.reset(first)
    assert agent.decide(replace(first, time_s=0.1)).action[0] == 3.0


def test_no_demonstration_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        ReplayMean.of([], rate_hz=20.0)
