from threading import Event

import numpy as np
import pytest

from ebt_data.step import Observation
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.policy.energy_policy import Pace, PlanFollower
from ebt_recipes.policy.planner import LockstepPlanner, Plan, Planner, Request, ThreadPlanner

RATE_HZ, HORIZON, LATENCY_TICKS = 20.0, 16, 2
PACE = Pace(RATE_HZ, execute=4, effort=Effort())


def plan_for(request: Request) -> Plan:
    """Row h is h ticks after the observation, in ticks since the episode began."""
    rows = request.observation.time_s * RATE_HZ + np.arange(HORIZON, dtype=np.float32)[:, None]
    return Plan(
        rows.astype(np.float32), 0.0, trace=(1.0, 0.0), made_for_s=request.observation.time_s, scores={"energy": 0.0}
    )


def seen(tick: int) -> Observation:
    still = np.zeros(1, dtype=np.float32)
    return Observation(tick / RATE_HZ, tick / RATE_HZ, still, still, still, {})


def lockstep() -> PlanFollower:
    policy = PlanFollower(LockstepPlanner(plan_for, lambda _: LATENCY_TICKS / RATE_HZ), PACE)
    policy.reset(seen(0))
    return policy


def fresh_ticks(policy: PlanFollower, ticks: range) -> list[int]:
    return [tick for tick in ticks if policy.decide(seen(tick)).trace]


def test_a_committed_policy_follows_its_plan_to_the_last_row_before_it_asks_anew() -> None:
    policy = lockstep()
    assert fresh_ticks(policy, range(8)) == [2, 6]
    policy.commit(seen(7))  # to the plan made for tick 4
    decisions = [policy.decide(seen(tick)) for tick in range(8, 22)]
    assert [decision.action[0] for decision in decisions[:12]] == list(range(8, 20))
    assert [8 + i for i, decision in enumerate(decisions) if decision.trace] == [4 + HORIZON - 1 + LATENCY_TICKS]


def test_after_its_commitment_it_plans_as_before() -> None:
    policy = lockstep()
    fresh_ticks(policy, range(8))
    policy.commit(seen(7))
    assert fresh_ticks(policy, range(8, 32)) == [21, 25, 29]


def test_a_request_under_way_is_forgotten() -> None:
    policy = lockstep()
    fresh_ticks(policy, range(9))  # asked at tick 8, due at 10
    policy.commit(seen(8))
    assert fresh_ticks(policy, range(9, 21)) == []


def test_without_a_plan_there_is_nothing_to_commit_to() -> None:
    policy = lockstep()
    policy.decide(seen(0))
    policy.commit(seen(0))
    assert fresh_ticks(policy, range(1, 7)) == [2, 6]


def test_a_replan_or_a_reset_ends_the_commitment() -> None:
    policy = lockstep()
    fresh_ticks(policy, range(8))
    policy.commit(seen(7))
    policy.replan(seen(8), np.full(1, -1, dtype=np.float32), Effort())
    assert policy.decide(seen(9)).action == pytest.approx([-1.0])
    assert fresh_ticks(policy, range(10, 12)) == [10]
    policy.commit(seen(11))
    policy.reset(seen(12))
    assert fresh_ticks(policy, range(12, 16)) == [14]


def test_a_thread_that_is_thinking_does_not_end_the_commitment() -> None:
    go_on, thinking = Event(), Event()

    def slowly(request: Request) -> Plan:
        if request.observation.time_s > 0:
            thinking.set()
            go_on.wait(5)
        return plan_for(request)

    planner: Planner = ThreadPlanner(slowly)
    policy = PlanFollower(planner, PACE)
    policy.reset(seen(0))
    while policy.plan is None:
        policy.decide(seen(0))
    policy.decide(seen(4))
    assert thinking.wait(5)
    policy.commit(seen(5))
    go_on.set()
    assert [policy.decide(seen(tick)).action[0] for tick in range(6, 15)] == list(range(6, 15))
    policy.close()
