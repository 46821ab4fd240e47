"""The agent interface: an operator at the leader arm, a policy, or a wrapper around one."""

from typing import Protocol

from ebt_data.step import Decision, Observation


class Agent(Protocol):
    """Maps an observation to a decision without blocking the loop.

    Planning runs in another thread: a decision uses the newest result.
    """

    def reset(self, observation: Observation) -> None:
        """Start a new episode; `observation` is its first."""
        ...

    def decide(self, observation: Observation) -> Decision: ...
