"""The benchmark of kills in short: one kill, and a check that lost and wrong rows are detected."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.episodes.collecting import Recording, check_episodes
from benchmarks.episodes.emulated_arms import JOINTS
from benchmarks.episodes.kills import Moment, kill_with_retries
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import Actor, BenchSpec, Decision, Observation, Outcome, Step
from ebt_hardware.motors.control_table import RAD_PER_TICK

GOALS = [[2048 + 10 * row + joint for joint in range(len(JOINTS))] for row in range(5)]


def test_a_killed_recording_of_two_arms_keeps_the_goals_they_were_sent() -> None:
    found, _ = kill_with_retries("two_arms", "group", Moment("tick", 6, 0.01))
    assert found.wrong == []
    assert found.lost_ticks <= 1 and found.rows >= 5


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    """A folder with an episode whose rows are GOALS."""
    spec = BenchSpec("swing", JOINTS, {}, 50.0, sim=False, task="swing", lockstep=False)
    writer = EpisodeWriter(tmp_path, spec, EpisodeMeta(kind="demo", task="swing"), reserve_bytes=0)
    for row, goal in enumerate(GOALS):
        pose = ((np.array(goal) - 2048) * RAD_PER_TICK).astype(np.float32)
        observation = Observation(0.02 * row, 0.02 * row, pose, pose, pose, {})
        writer.append(Step(observation, Decision(pose, Actor.HUMAN), pose, 0.02 * row))
    writer.commit(Outcome.SUCCESS)
    return tmp_path


def test_rows_that_equal_the_goals_pass(episodes: Path) -> None:
    found = check_episodes(episodes, {"episode_0000": {"arm": GOALS}}, Recording())
    assert (found.wrong, found.lost_ticks, found.rows, found.episodes) == ([], 0, 5, 1)


def test_a_lost_row_a_wrong_row_and_a_lost_file_are_reported(episodes: Path) -> None:
    more = [*GOALS, GOALS[0], GOALS[1]]
    assert check_episodes(episodes, {"episode_0000": {"arm": more}}, Recording()).lost_ticks == 2
    (wrong,) = check_episodes(episodes, {"episode_0000": {"arm": GOALS[1:]}}, Recording()).wrong[:1]
    assert wrong == "episode_0000.h5 has other rows than arm was sent"
    (gone,) = check_episodes(episodes, {"episode_0001": {"arm": GOALS}}, Recording()).wrong
    assert gone.startswith("episode_0001 lost")
