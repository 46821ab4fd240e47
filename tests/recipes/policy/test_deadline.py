from types import SimpleNamespace

import pytest

from ebt_hardware.bench.bench import Bench
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy import plan_service
from ebt_recipes.policy.deadline import Deadline
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import Request
from ebt_recipes.training.checkpoint import Run


def test_without_an_earlier_plan_all_steps_are_taken() -> None:
    assert Deadline(0.02).steps(8) == 8


@pytest.mark.parametrize(("wanted", "taken"), [(8, 4), (3, 3), (0, 0)])
def test_as_many_steps_are_taken_as_fit(wanted: int, taken: int) -> None:
    deadline = Deadline(0.05)
    deadline.record(rest_s=0.009, steps_s=0.02, steps=2)
    assert deadline.steps(wanted) == taken


def test_one_step_is_taken_however_late_it_is() -> None:
    deadline = Deadline(0.001)
    deadline.record(rest_s=0.5, steps_s=0.5, steps=1)
    assert deadline.steps(8) == 1


def test_one_outlier_is_ignored_and_a_slower_machine_is_not() -> None:
    deadline = Deadline(0.1)
    deadline.record(rest_s=0.0, steps_s=9.0, steps=1)
    deadline.record(rest_s=0.0, steps_s=0.01, steps=1)
    assert deadline.steps(8) == 8
    for _ in range(3):
        deadline.record(rest_s=0.0, steps_s=0.05, steps=1)
    assert deadline.steps(8) == 2


@pytest.mark.parametrize(("within_s", "steps"), [(0.0, [5, 5, 6]), (2.6, [5, 2, 6]), (0.5, [5, 1, 6])])
def test_a_plan_takes_fewer_steps_rather_than_longer_but_for_one_after_a_retry(
    twin: Bench, untrained: Run, monkeypatch: pytest.MonkeyPatch, within_s: float, steps: list[int]
) -> None:
    """On a clock where encoding takes 0.3 s, a step 1 s and scoring 0.2 s."""
    plan = PlanService(untrained, twin.spec, within_s=within_s)
    reading = iter([0.0, 0.3, 5.3, 5.5, *range(10, 20)])
    monkeypatch.setattr(plan_service, "time", SimpleNamespace(perf_counter=lambda: float(next(reading))))
    observation = twin.reset(1)
    budgets = (SamplingBudget(steps=5), SamplingBudget(steps=5), SamplingBudget(steps=6, samples=4))
    assert [len(plan(Request(observation, seed=3, budget=budget)).trace) - 1 for budget in budgets] == steps
