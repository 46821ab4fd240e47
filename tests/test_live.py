"""A live recording over ptys tells the truth about its timing, by the arms' own account."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, Decision, Observation, Outcome
from ebt_hardware.config.benches import load_bench
from ebt_hardware.motors.control_table import RAD_PER_TICK
from ebt_recipes.loop.loop import run_episode

SECONDS = 5.0


class Wave:
    """Waves the gripper, so that every tick's goal differs from the one before."""

    def reset(self, observation: Observation) -> None:
        self._home = observation.position.copy()

    def decide(self, observation: Observation) -> Decision:
        goal = self._home.copy()
        goal[-1] = 0.7 + 0.5 * np.cos(2.1 * observation.time_s)
        return Decision(goal, Actor.HUMAN)


@pytest.mark.slow
def test_the_file_agrees_with_the_motors_own_log(tmp_path: Path) -> None:
    table = load_bench("twin_live")
    with Recorder(tmp_path, table.spec) as recorder, table.open() as bench:
        scene: Any = bench.scene
        recorder.start(EpisodeMeta("demo", table.spec.task, bench=table.spec.name))
        for step in islice(run_episode(bench, Wave(), seed=0), round(SECONDS * table.rate_hz)):
            recorder.append(step)
        log = scene.log("follower")
        path = recorder.finish(Outcome.SUCCESS)
    with Episode(path) as episode:
        goals = np.rint(episode.action / RAD_PER_TICK + 2048).astype(int).tolist()
        time = {name: np.asarray(episode.time[name]) for name in ("tick", "read", "sent", "skipped")}
        ages = np.asarray(episode.camera_time("top")["age"])

    told = [[write.goals[number] for number in range(1, 7)] for write in log]
    assert told[-len(goals) :] == goals, "every row is one goal write, in its order"
    heard_s = np.array([write.time_s for write in log[-len(goals) :]])

    # The motors' log has another clock; between any two rows both must count the same time. A busy machine
    # may answer late now and then, so the middle of the differences is held tight and their tail loosely.
    drift_s = (heard_s - heard_s[0]) - (time["sent"] - time["sent"][0])
    drift_s -= np.median(drift_s)
    assert np.median(np.abs(drift_s)) < 0.01
    achieved_hz = (len(goals) - 1) / (time["sent"][-1] - time["sent"][0])
    assert achieved_hz == pytest.approx((len(goals) - 1) / (heard_s[-1] - heard_s[0]), rel=0.02)

    # No tick vanishes: rows and skipped ticks add up to the time that passed.
    ticks = 1 + (np.diff(time["tick"]) * table.rate_hz).round().astype(int)
    assert ticks.sum() - len(ticks) == time["skipped"][1:].sum() + len(ticks)
    assert (time["tick"] <= time["read"]).all() and (time["read"] <= time["sent"]).all()
    assert np.isfinite(ages).all() and ages.max() < 2.0
