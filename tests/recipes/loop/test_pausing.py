"""A paused arm holds its goal, and continues from there."""

from pathlib import Path

import numpy as np
import pytest

from ebt_data.reading.episode import Episode
from ebt_data.step import Observation
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.pausing import Pausable
from ebt_recipes.loop.recording import Command
from tests.recipes.loop.conftest import Climber, by_tick, collected


def test_in_a_pause_the_arm_is_held_and_nothing_is_recorded(twin: Bench, tmp_path: Path) -> None:
    climber = Climber()
    hooks = by_tick({3: Command.PAUSE, 8: Command.PAUSE, 12: Command.SAVE}, {})
    with Episode(collected(twin, tmp_path, hooks, climber)) as episode:
        ticks_s, period_s = episode.time["tick"], 1 / twin.spec.rate_hz
        # Rows 0 to 3, then 5 ticks in which nothing is recorded, then 4 more rows.
        assert np.diff(ticks_s) == pytest.approx([period_s] * 3 + [6 * period_s] + [period_s] * 3)
        step_rad = episode.action_asked[4, 0] - episode.action[3, 0]
        assert step_rad == pytest.approx(0.01, abs=1e-6), "it continues from the held goal"
        assert (episode.pauses, climber.resets) == ([4], 2)
        assert episode.segments == [slice(0, 4), slice(4, 8)]
        (text,) = (event.text for event in episode.events if event.kind == "pause")
    assert text == f"of {6 * period_s:.1f} s before this row"


def test_a_reset_ends_a_pause() -> None:
    zero = np.zeros(2, np.float32)
    observation = Observation(0.0, 0.0, zero, zero, zero, {})
    pausable = Pausable(Climber())
    pausable.reset(observation)
    pausable.pause(zero + 1)
    assert pausable.decide(observation).action.tolist() == [1, 1]
    pausable.reset(observation)
    assert not pausable.paused
    assert pausable.decide(observation).action == pytest.approx([0.01, 0])
