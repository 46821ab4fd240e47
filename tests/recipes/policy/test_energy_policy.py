from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from ebt_data.errors import ConfigError, MisuseError
from ebt_data.step import BenchSpec, Decision
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.loop import run_episode
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import Request
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.scores import NEED_REFERENCE, SCORES

LATENCY_TICKS = 2  # of the untrained run: 0.1 s at 20 Hz


def decisions(twin: Bench, policy: EnergyPolicy, ticks: int) -> list[Decision]:
    return [step.decision for step in islice(run_episode(twin, policy, seed=1), ticks)]


def test_before_the_first_plan_the_arm_holds(twin: Bench, untrained: Run) -> None:
    steps = list(islice(run_episode(twin, EnergyPolicy(untrained, twin.spec), seed=1), LATENCY_TICKS + 1))
    start = steps[0].observation.position
    held = [np.array_equal(step.decision.action, start) for step in steps]
    assert held == [True] * LATENCY_TICKS + [False]
    assert np.isnan(steps[0].decision.energy)


def test_a_new_plan_starts_at_the_row_of_its_latency(twin: Bench, untrained: Run) -> None:
    policy = EnergyPolicy(untrained, twin.spec, seed=5)
    first, *_, last = islice(run_episode(twin, policy, seed=1), LATENCY_TICKS + 1)
    plan = policy.plan
    assert plan is not None
    assert plan.observed_s == first.observation.time_s
    assert np.array_equal(last.decision.action, plan.chunk[LATENCY_TICKS])
    assert last.decision.plan_age_s == pytest.approx(0.1)
    assert last.decision.latency_s == pytest.approx(0.1)


def test_plans_come_at_a_fixed_number_of_ticks_and_carry_their_trace_once(twin: Bench, untrained: Run) -> None:
    made = decisions(twin, EnergyPolicy(untrained, twin.spec), 40)
    fresh = [tick for tick, decision in enumerate(made) if decision.trace]
    execute = untrained.recipe.act.execute
    assert fresh == [LATENCY_TICKS + execute * n for n in range(len(fresh))]
    assert all(later - earlier == execute for earlier, later in pairwise(fresh))
    assert all(made[tick].energy == made[tick].trace[-1] for tick in fresh)
    assert all(len(made[tick].trace) == made[tick].steps_used + 1 == 4 for tick in fresh)


def test_the_same_seed_gives_the_same_actions(twin: Bench, untrained: Run) -> None:
    observations = [
        step.observation for step in islice(run_episode(twin, EnergyPolicy(untrained, twin.spec), seed=1), 12)
    ]

    def acts(seed: int) -> list[tuple[float, ...]]:
        policy = EnergyPolicy(untrained, twin.spec, seed=seed)
        policy.reset(observations[0])
        return [tuple(policy.decide(observation).action) for observation in observations]

    assert acts(7) == acts(7)
    assert acts(7) != acts(8)


def test_every_episode_draws_its_own_noise(twin: Bench, untrained: Run) -> None:
    policy, observation = EnergyPolicy(untrained, twin.spec), twin.reset(1)
    energies = []
    for _ in range(2):
        policy.reset(observation)
        policy.decide(observation)
        energies.append(policy.decide(replace(observation, time_s=0.1)).energy)
    assert energies[0] != energies[1]


def test_without_descent_a_chunk_is_noise(twin: Bench, untrained: Run) -> None:
    last = decisions(twin, EnergyPolicy(untrained, twin.spec, steps=0), LATENCY_TICKS + 1)[-1]
    assert last.steps_used == 0
    assert len(last.trace) == 1


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


def test_replanning_holds_until_the_new_plan_is_available(twin: Bench, untrained: Run) -> None:
    policy = EnergyPolicy(untrained, twin.spec)
    *_, last = islice(run_episode(twin, policy, seed=1), 10)
    hold = last.sent + np.float32(0.01)
    now = last.observation
    policy.replan(now, hold, SamplingBudget(samples=2))
    waits = [policy.decide(replace(now, time_s=now.time_s + 0.05 * tick)) for tick in range(5)]
    assert [np.array_equal(decision.action, hold) for decision in waits] == [True] * 4 + [False]
    assert waits[-1].trace


def test_a_thread_plans_live(twin: Bench, untrained: Run) -> None:
    policy = EnergyPolicy(untrained, twin.spec, planner="thread")
    steps = run_episode(twin, policy, seed=1)
    planned = next(step for step in steps if step.decision.trace)
    assert planned.decision.latency_s > 0
    policy.close()


@pytest.mark.parametrize("score", [name for name in SCORES if name not in NEED_REFERENCE])
def test_every_score_is_finite_for_every_plan(twin: Bench, untrained: Run, score: str) -> None:
    made = decisions(twin, EnergyPolicy(untrained, twin.spec, score=score), 20)
    assert all(np.isfinite(decision.score) for decision in made if decision.trace)


def test_an_unknown_score_is_refused_with_the_available_ones(untrained: Run, twin_spec: BenchSpec) -> None:
    with pytest.raises(MisuseError, match="has no score luck; it has energy, tail"):
        EnergyPolicy(untrained, twin_spec, score="luck")


def test_a_run_for_another_bench_is_refused(untrained: Run, twin_spec: BenchSpec) -> None:
    with pytest.raises(ConfigError, match="joints"):
        EnergyPolicy(untrained, replace(twin_spec, joints=("elbow",)))
