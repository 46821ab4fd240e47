"""A control for a policy: the same policy with its cameras masked.

Another control, a policy without descent steps, is `EnergyPolicy(run, spec, steps=0)`; `replay.py` has the third.
"""

from dataclasses import replace

import numpy as np

from ebt_data.agent import Agent
from ebt_data.step import Decision, Observation


class CamerasMasked:
    """Masks every camera image with black; only the joints and the clock remain in the observation."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def reset(self, observation: Observation) -> None:
        self._agent.reset(_mask_cameras(observation))

    def decide(self, observation: Observation) -> Decision:
        return self._agent.decide(_mask_cameras(observation))


def _mask_cameras(observation: Observation) -> Observation:
    frames = {
        name: replace(frame, image=np.zeros_like(frame.image), depth=None if frame.depth is None else frame.depth * 0)
        for name, frame in observation.frames.items()
    }
    return replace(observation, frames=frames)
