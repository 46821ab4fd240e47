"""The closed control loop: an operator and a policy drive the bench through the same eleven lines.

run_episode(bench: Bench, agent: Agent, seed: int | None = None) -> Iterator[Step]
"""

from collections.abc import Iterator

from ebt_data.agent import Agent
from ebt_data.step import Step
from ebt_hardware.bench.bench import Bench


def run_episode(bench: Bench, agent: Agent, seed: int | None = None) -> Iterator[Step]:
    """Reset the bench to `seed` and yield one step per tick without end; stop by ending the iteration.

    Ticks missed while waiting are counted in the next step.
    """
    observation = bench.reset(seed)
    agent.reset(observation)
    skipped = 0
    while True:
        decision = agent.decide(observation)
        sent = bench.act(decision.action)
        events = decision.events + sent.events
        yield Step(observation, decision, sent.action, sent.time_s, skipped, events)
        skipped = bench.wait()
        observation = bench.observe()
