from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from ebt_data.errors import ConfigError
from ebt_data.step import BenchSpec
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.loop import run_episode
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.training.checkpoint import Run
from tests.recipes.conftest import decisions

LATENCY_TICKS = 2  # of the untrained run: 0.1 s at 20 Hz


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


def test_a_run_for_another_bench_is_refused(untrained: Run, twin_spec: BenchSpec) -> None:
    with pytest.raises(ConfigError, match="joints"):
        EnergyPolicy(untrained, replace(twin_spec, joints=("elbow",)))
