from threading import Event as Gate

import numpy as np
import pytest

from ebt_data.step import Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.planner import LockstepPlanner, Plan, Request, ThreadPlanner


def request(time_s: float) -> Request:
    still = np.zeros(2, dtype=np.float32)
    return Request(Observation(time_s, time_s, still, still, still, {}), seed=0)


def planned(request: Request) -> Plan:
    """Row h of the chunk is h hundredths."""
    chunk = np.repeat(np.arange(10)[:, None] / 100, 2, axis=1).astype(np.float32)
    return Plan(chunk, 1.0, (2.0, 1.0), request.observation.time_s)


def lockstep(latency_s: float) -> LockstepPlanner:
    return LockstepPlanner(planned, lambda budget: latency_s * budget.samples)


def made_for(plan: Plan | None) -> float | None:
    return None if plan is None else plan.observed_s


def test_a_plan_exists_only_after_the_stated_latency() -> None:
    planner = lockstep(0.1)
    planner.submit(request(1.0))
    assert [made_for(planner.newest(t)) for t in (1.0, 1.05, 1.1)] == [None, None, 1.0]


def test_a_plan_reports_the_stated_latency() -> None:
    planner = lockstep(0.1)
    planner.submit(request(0.0))
    plan = planner.newest(0.1)
    assert plan is not None
    assert plan.latency_s == 0.1


def test_a_busy_planner_takes_the_newest_request_next() -> None:
    planner = lockstep(0.3)
    for time_s in (0.0, 0.1, 0.2):
        planner.submit(request(time_s))
    # The first is ready at 0.3; the one from 0.2 starts only then, and the one from 0.1 is never computed.
    assert [made_for(planner.newest(t)) for t in (0.25, 0.3, 0.55, 0.6)] == [None, 0.0, 0.0, 0.2]


def test_a_larger_budget_takes_longer() -> None:
    planner = lockstep(0.1)
    planner.submit(Request(request(0.0).observation, 0, SamplingBudget(samples=4)))
    assert [made_for(planner.newest(t)) for t in (0.3, 0.4)] == [None, 0.0]


def test_a_reset_discards_pending_plans() -> None:
    planner = lockstep(0.1)
    planner.submit(request(0.0))
    planner.reset()
    assert planner.newest(5.0) is None


def test_rows_are_chosen_by_the_time_since_the_observation() -> None:
    plan = planned(request(2.0))
    assert [plan.row(t, 20.0) for t in (2.0, 2.05, 2.1, 2.31, 99.0)] == [0, 1, 2, 6, 9]


def test_a_thread_never_makes_the_loop_wait() -> None:
    gate = Gate()

    def slow(request: Request) -> Plan:
        gate.wait(10)
        return planned(request)

    planner = ThreadPlanner(slow)
    for time_s in (0.0, 0.1, 0.2):
        planner.submit(request(time_s))
        assert planner.newest(time_s) is None
    gate.set()
    made = {made_for(planner.newest(1.0)) for _ in spin()}
    assert made <= {None, 0.0, 0.2}
    planner.close()


def spin() -> range:
    return range(100_000)


def test_an_exception_in_the_thread_is_raised_in_the_loop() -> None:
    def broken(request: Request) -> Plan:
        raise ValueError("no plan today")

    planner = ThreadPlanner(broken)
    planner.submit(request(0.0))
    with pytest.raises(ValueError, match="no plan today"):
        for _ in spin():
            planner.newest(0.0)
    planner.close()


def test_a_thread_measures_its_latency() -> None:
    planner = ThreadPlanner(planned)
    planner.submit(request(0.0))
    plan = next(plan for _ in spin() if (plan := planner.newest(0.0)) is not None)
    assert 0 <= plan.latency_s < 10
    planner.close()
