"""Whoever decides: a person at the leader arm, a policy, or a decorator around one."""

from typing import Protocol

from ebt_data.step import Decision, Observation


class Agent(Protocol):
    """Maps an observation to a decision, without ever blocking the loop.

    Planning runs elsewhere: a decision is what is known now.
    """

    def reset(self, observation: Observation) -> None:
        """Forget the episode before; `observation` is the first of the new one."""
        ...

    def decide(self, observation: Observation) -> Decision: ...
