from itertools import islice

import numpy as np
import pytest

from ebt_data.step import Actor, Decision, Event, Observation
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.loop import run_episode


class Still:
    """An agent that holds its first pose and counts its decisions."""

    def __init__(self) -> None:
        self.decided = 0

    def reset(self, observation: Observation) -> None:
        self.decided = 0
        self.start = observation.position

    def decide(self, observation: Observation) -> Decision:
        self.decided += 1
        return Decision(self.start, Actor.POLICY, events=(Event("note", str(self.decided)),))


def test_one_step_a_tick_on_the_bench_clock(twin: Bench) -> None:
    times_s = [step.observation.time_s for step in islice(run_episode(twin, Still(), seed=1), 10)]
    assert times_s == pytest.approx(np.arange(10) / twin.spec.rate_hz)


def test_a_step_has_the_requested_and_the_sent_action(twin: Bench) -> None:
    agent = Still()
    step = next(run_episode(twin, agent, seed=1))
    assert np.array_equal(step.decision.action, agent.start)
    assert step.sent == pytest.approx(agent.start, abs=0.02)
    assert step.sent_s >= step.observation.read_s
    assert step.events[0] == Event("note", "1")


def test_the_loop_stops_with_the_iteration(twin: Bench) -> None:
    agent = Still()
    assert len(list(islice(run_episode(twin, agent, seed=1), 3))) == 3
    assert agent.decided == 3


def test_an_agent_is_reset_with_the_first_observation_of_every_episode(twin: Bench) -> None:
    agent = Still()
    for _ in range(2):
        first = next(run_episode(twin, agent, seed=1))
        assert agent.decided == 1
        assert first.observation.time_s == 0.0


def test_the_same_seed_is_the_same_scene(twin: Bench) -> None:
    first, again, other = (next(run_episode(twin, Still(), seed=seed)) for seed in (3, 3, 4))
    cubes = [step.observation.privileged["cube"] for step in (first, again, other)]
    assert cubes[0] == pytest.approx(cubes[1], abs=1e-4)
    assert np.abs(cubes[0] - cubes[2]).max() > 1e-3


def test_lockstep_never_skips_a_tick(twin: Bench) -> None:
    assert [step.skipped for step in islice(run_episode(twin, Still(), seed=1), 5)] == [0] * 5
