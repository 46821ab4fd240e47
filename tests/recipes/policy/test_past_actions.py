"""A policy with past actions as an input: the same at the bench as in training, with noise only in training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ebt_data.step import Observation
from ebt_recipes.model.batch import from_bench
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.energy_policy import ExecutionConfig, PlanFollower
from ebt_recipes.policy.planner import LockstepPlanner, Plan, Request
from ebt_recipes.recipe import PAST, Recipe, parse_recipe
from ebt_recipes.training.dataset import Dataset

TICKS = 3
Write = Callable[..., list[Path]]


def make_recipe(**observe: object) -> Recipe:
    sections = {
        "encoder": {"image_size": 16},
        "act": {"horizon": 4},
        "training": {"batch": 8},
        "observe": {"cameras": (), "past_actions": TICKS, **observe},
    }
    return parse_recipe({"name": "past", **sections}, "test")


def observe(tick: int, position: np.ndarray) -> Observation:
    zero = np.zeros_like(position)
    return Observation(tick / 20, tick / 20, position, zero, zero, {})


def test_training_uses_the_actions_before_a_row_relative_to_its_pose(record_reach: Write) -> None:
    data = Dataset(make_recipe(), record_reach(2, rows=12))
    windows = data.windows
    first, second, later = data.batch(np.array([12, 13, 20])).observations.joints[PAST].view(3, TICKS, -1).numpy()
    np.testing.assert_array_equal(first, 0 * first)
    start = windows.qpos[12]
    np.testing.assert_allclose(second, np.stack([start, start, windows.actions[12]]) - windows.qpos[13])
    np.testing.assert_allclose(later, windows.actions[17:20] - windows.qpos[20])


def test_the_bench_gives_the_same_past_actions(record_reach: Write) -> None:
    data = Dataset(make_recipe(), record_reach(1, rows=12))
    windows = data.windows
    trained = data.batch(np.array([7])).observations
    live = from_bench(observe(7, windows.qpos[7]), (), 16, (), windows.actions[4:7])
    torch.testing.assert_close(live.joints[PAST], trained.joints[PAST])


def test_only_training_batches_have_noise(record_reach: Write) -> None:
    paths = record_reach(2)
    clean, noisy = (Dataset(make_recipe(past_noise=noise), paths) for noise in (0.0, 1.0))
    rows = clean.rows_of(3)
    same = [data.batch(rows).observations.joints[PAST] for data in (clean, noisy)]
    assert torch.equal(*same)
    assert torch.equal(clean.training_batch(3).observations.joints[PAST], same[0])
    assert not torch.allclose(noisy.training_batch(3).observations.joints[PAST], same[0], atol=1e-3)
    assert torch.equal(
        noisy.training_batch(3).observations.joints[PAST], noisy.training_batch(3).observations.joints[PAST]
    )


def test_a_follower_records_its_actions_and_starts_from_the_measured_pose() -> None:
    requested: list[np.ndarray] = []

    def plan_for(request: Request) -> Plan:
        assert request.past is not None
        requested.append(request.past)
        rows = 10 * (1 + len(requested)) + np.arange(8, dtype=np.float32)[:, None]
        return Plan(rows, 0.0, (0.0, 0.0), request.observation.time_s, scores={"energy": 0.0})

    planner = LockstepPlanner(plan_for, lambda _: 0.0)
    policy = PlanFollower(planner, ExecutionConfig(20.0, execute=4, budget=SamplingBudget(), past=TICKS))
    here = np.full(1, 5.0, np.float32)
    policy.reset(observe(0, here))
    for tick in range(9):
        policy.decide(observe(tick, here))
    assert [past[:, 0].tolist() for past in requested] == [[5, 5, 5], [21, 22, 23], [31, 32, 33]]
