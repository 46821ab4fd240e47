"""An agent that can be paused, so that the operator may put the leader arm down for a moment.

Pausable(agent): Agent      .pause(at)   .resume()   .paused
"""

from dataclasses import replace

from ebt_data.agent import Agent
from ebt_data.step import Actor, Decision, Joints, Observation


class Pausable:
    """While paused, the arm holds its last goal; on resuming, the agent is reset there as at an episode's start."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._held: Joints | None = None
        self._resuming = False
        self.paused = False

    def reset(self, observation: Observation) -> None:
        """Start an episode, not paused."""
        self.paused = self._resuming = False
        self._agent.reset(observation)

    def pause(self, at: Joints) -> None:
        """Hold these goals from the next decision on, [J] rad as they were sent."""
        self._held, self.paused = at, True

    def resume(self) -> None:
        """Let the agent decide again."""
        self.paused, self._resuming = False, True

    def decide(self, observation: Observation) -> Decision:
        """The agent's decision, or the held goal."""
        if self.paused:
            assert self._held is not None, "pause sets the held goal"
            return Decision(self._held, Actor.HUMAN)
        if self._resuming:
            assert self._held is not None, "resume follows a pause"
            # From the goal, not from the measured pose: a gripper keeps pressing the object it holds.
            self._agent.reset(replace(observation, position=self._held))
            self._resuming = False
        return self._agent.decide(observation)
