from threading import Event

import numpy as np
import pytest

from ebt_data.step import Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.energy_policy import ExecutionConfig, PlanFollower
from ebt_recipes.policy.planner import LockstepPlanner, Plan, Planner, Request, ThreadPlanner

RATE_HZ, HORIZON, LATENCY_TICKS = 20.0, 16, 2
CONFIG = ExecutionConfig(RATE_HZ, execute=4, budget=SamplingBudget())


def plan_for(request: Request) -> Plan:
    """Row h is h ticks after the observation, in ticks since the episode started."""
    rows = request.observation.time_s * RATE_HZ + np.arange(HORIZON, dtype=np.float32)[:, None]
    return Plan(
        rows.astype(np.float32), 0.0, trace=(1.0, 0.0), observed_s=request.observation.time_s, scores={"energy": 0.0}
    )


def observe(tick: int) -> Observation:
    still = np.zeros(1, dtype=np.float32)
    return Observation(tick / RATE_HZ, tick / RATE_HZ, still, still, still, {})


def lockstep() -> PlanFollower:
    policy = PlanFollower(LockstepPlanner(plan_for, lambda _: LATENCY_TICKS / RATE_HZ), CONFIG)
    policy.reset(observe(0))
    return policy


def new_plan_ticks(policy: PlanFollower, ticks: range) -> list[int]:
    return [tick for tick in ticks if policy.decide(observe(tick)).trace]


def test_a_committed_policy_follows_its_plan_to_the_last_row_before_the_next_request() -> None:
    policy = lockstep()
    assert new_plan_ticks(policy, range(8)) == [2, 6]
    policy.commit(observe(7))  # to the plan made for tick 4
    decisions = [policy.decide(observe(tick)) for tick in range(8, 22)]
    assert [decision.action[0] for decision in decisions[:12]] == list(range(8, 20))
    assert [8 + i for i, decision in enumerate(decisions) if decision.trace] == [4 + HORIZON - 1 + LATENCY_TICKS]


def test_after_its_commitment_it_plans_as_before() -> None:
    policy = lockstep()
    new_plan_ticks(policy, range(8))
    policy.commit(observe(7))
    assert new_plan_ticks(policy, range(8, 32)) == [21, 25, 29]


def test_a_pending_request_is_cancelled() -> None:
    policy = lockstep()
    new_plan_ticks(policy, range(9))  # requested at tick 8, due at 10
    policy.commit(observe(8))
    assert new_plan_ticks(policy, range(9, 21)) == []


def test_without_a_plan_there_is_nothing_to_commit_to() -> None:
    policy = lockstep()
    policy.decide(observe(0))
    policy.commit(observe(0))
    assert new_plan_ticks(policy, range(1, 7)) == [2, 6]


def test_a_replan_or_a_reset_ends_the_commitment() -> None:
    policy = lockstep()
    new_plan_ticks(policy, range(8))
    policy.commit(observe(7))
    policy.replan(observe(8), np.full(1, -1, dtype=np.float32), SamplingBudget())
    assert policy.decide(observe(9)).action == pytest.approx([-1.0])
    assert new_plan_ticks(policy, range(10, 12)) == [10]
    policy.commit(observe(11))
    policy.reset(observe(12))
    assert new_plan_ticks(policy, range(12, 16)) == [14]


def test_a_busy_planner_thread_does_not_end_the_commitment() -> None:
    resume, planning = Event(), Event()

    def plan_slowly(request: Request) -> Plan:
        if request.observation.time_s > 0:
            planning.set()
            resume.wait(5)
        return plan_for(request)

    planner: Planner = ThreadPlanner(plan_slowly)
    policy = PlanFollower(planner, CONFIG)
    policy.reset(observe(0))
    while policy.plan is None:
        policy.decide(observe(0))
    policy.decide(observe(4))
    assert planning.wait(5)
    policy.commit(observe(5))
    resume.set()
    assert [policy.decide(observe(tick)).action[0] for tick in range(6, 15)] == list(range(6, 15))
    policy.close()
