"""An agent that can be told to wait, so that whoever demonstrates may put the arm down for a moment.

Pausable(agent): Agent      .pause(at)   .go_on()   .paused
"""

from dataclasses import replace

from ebt_data.agent import Agent
from ebt_data.step import Actor, Decision, Joints, Observation


class Pausable:
    """While paused the arm stays where it was sent; then the agent begins anew from there, as at an episode's start."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._held: Joints | None = None
        self._begins = False
        self.paused = False

    def reset(self, observation: Observation) -> None:
        """Begin an episode, not paused."""
        self.paused = self._begins = False
        self._agent.reset(observation)

    def pause(self, at: Joints) -> None:
        """Stay at these goals from the next decision on, [J] rad as they were sent."""
        self._held, self.paused = at, True

    def go_on(self) -> None:
        """Let the agent decide again."""
        self.paused, self._begins = False, True

    def decide(self, observation: Observation) -> Decision:
        """The agent's decision, or where the arm is held."""
        if self.paused:
            assert self._held is not None, "it is told where to stay"
            return Decision(self._held, Actor.HUMAN)
        if self._begins:
            assert self._held is not None, "it was paused"
            # From the goal, not from where the arm is: a gripper goes on pressing what it holds.
            self._agent.reset(replace(observation, position=self._held))
            self._begins = False
        return self._agent.decide(observation)
