"""Shared by the tests of the recorder and its writer."""

import numpy as np

from ebt_data.reading.episode import Episode
from ebt_data.step import Step


def assert_row_equals(episode: Episode, row: int, step: Step) -> None:
    observation, decision = step.observation, step.decision
    np.testing.assert_array_equal(episode.qpos[row], observation.position)
    np.testing.assert_array_equal(episode.qvel[row], observation.velocity)
    np.testing.assert_array_equal(episode.effort[row], observation.effort)
    np.testing.assert_array_equal(episode.action[row], step.sent)
    np.testing.assert_array_equal(episode.action_asked[row], decision.action)
    np.testing.assert_array_equal(episode.privileged["cube"][row], observation.privileged["cube"])
    times = {name: values[row] for name, values in episode.time.items()}
    assert times == {
        "tick": observation.time_s,
        "read": observation.read_s,
        "sent": step.sent_s,
        "skipped": step.skipped,
    }
    energy = episode.energy
    assert energy is not None
    assert {name: energy[name][row] for name in energy if name != "trace"} == {
        "energy": decision.energy,
        "score": decision.score,
        "threshold": decision.threshold,
        "steps": decision.steps_used,
        "plan_age": decision.plan_age_s,
        "latency": decision.latency_s,
        "attempt": decision.attempt,
        "actor": decision.actor.value,
    }
    np.testing.assert_array_equal(energy["trace"][row][:3], decision.trace)
    assert np.isnan(energy["trace"][row][3:]).all()
    for camera, frame in observation.frames.items():
        assert np.abs(episode.image(camera, row).astype(int) - frame.image).mean() < 2
        camera_time = {name: values[row] for name, values in episode.camera_time(camera).items()}
        before = row > 0 and episode.camera_time(camera)["number"][row - 1] == frame.number
        assert camera_time == {
            "device": frame.device_s,
            "domain": frame.domain,
            "arrival": frame.arrival_s,
            "number": frame.number,
            "age": frame.age_s,
            "repeated": before,
            "dropped": False,
        }
        depth = episode.depth(camera, row)
        assert (depth is None) == (frame.depth is None)
        if depth is not None and frame.depth is not None:
            np.testing.assert_array_equal(depth, frame.depth)
