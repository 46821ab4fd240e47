import numpy as np

from ebt_data.step import Actor, Decision, Observation
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.masked_cameras import CamerasMasked


class Recording:
    """An agent that records its observations."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []

    def reset(self, observation: Observation) -> None:
        self.observations.append(observation)

    def decide(self, observation: Observation) -> Decision:
        self.observations.append(observation)
        return Decision(observation.position, Actor.POLICY)


def test_masked_cameras_are_black_and_joints_unchanged(twin: Bench) -> None:
    recording, original = Recording(), twin.reset(1)
    masked = CamerasMasked(recording)
    masked.reset(original)
    masked.decide(original)
    assert all(frame.image.any() for frame in original.frames.values())
    for observation in recording.observations:
        assert set(observation.frames) == set(original.frames)
        assert not any(frame.image.any() for frame in observation.frames.values())
        assert np.array_equal(observation.position, original.position)
