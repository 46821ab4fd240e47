"""One plan: its steps and candidates, its scores, and its latency."""

from types import SimpleNamespace

import numpy as np
import pytest

from ebt_data.errors import MisuseError
from ebt_data.step import BenchSpec
from ebt_hardware.bench.bench import Bench
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy import plan_service
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import Request
from ebt_recipes.training.checkpoint import Run


def test_descending_lowers_the_energy(twin: Bench, untrained: Run) -> None:
    plan = PlanService(untrained, twin.spec)(Request(twin.reset(1), seed=3, budget=SamplingBudget(steps=20)))
    assert plan.energy < plan.trace[0]


def test_the_best_of_several_is_no_worse_than_one(twin: Bench, untrained: Run) -> None:
    plan_service, observation = PlanService(untrained, twin.spec), twin.reset(1)
    one, best = (
        plan_service(Request(observation, seed=3, budget=SamplingBudget(samples=samples))) for samples in (1, 8)
    )
    assert best.energy <= one.energy + 1e-4


def test_a_larger_budget_costs_more_latency(untrained: Run, twin_spec: BenchSpec) -> None:
    plan_service = PlanService(untrained, twin_spec)
    assert plan_service.latency_s(SamplingBudget()) == pytest.approx(0.1)
    assert plan_service.latency_s(SamplingBudget(steps=6, samples=2)) == pytest.approx(0.4)
    assert plan_service.latency_s(SamplingBudget(steps=0)) == pytest.approx(0.1)


def test_the_previous_plan_is_scored_given_the_new_observation(twin: Bench, untrained: Run) -> None:
    plan_service, observation = PlanService(untrained, twin.spec, ("tail", "jump")), twin.reset(1)
    before = plan_service(Request(observation, seed=3))
    after = plan_service(Request(observation, seed=4, previous=before))
    # Nothing has moved and no time has passed: the old plan costs what it cost.
    assert after.scores["tail"] == pytest.approx(before.energy, rel=1e-3)
    spread = untrained.statistics.chunk.std
    apart = np.sqrt(np.square((after.chunk - before.chunk) / spread).mean())
    assert after.scores["jump"] == pytest.approx(float(apart), rel=1e-3)
    assert before.scores == {"tail": pytest.approx(before.energy, rel=1e-3), "jump": 0.0}


def test_an_unknown_score_is_refused_with_the_available_ones(untrained: Run, twin_spec: BenchSpec) -> None:
    with pytest.raises(MisuseError, match="has no score luck; it has energy, tail"):
        EnergyPolicy(untrained, twin_spec, score="luck")


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
