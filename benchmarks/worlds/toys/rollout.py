"""Rolls a policy out on many worlds at once, re-planning for all of them together.

Shapes: N worlds, H ticks of a chunk, J joints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.worlds.toys.toy import Toy
from benchmarks.worlds.toys.training_data import observations
from ebt_recipes.objectives.plan_sampler import PlanSampler, PlanTail, SamplingBudget


@dataclass(frozen=True)
class RolloutResult:
    """Results of the rollouts."""

    succeeded: NDArray[np.bool_]
    """[N]"""
    steps_used: float
    """Mean of the sampler's steps over all plans."""
    lasted: NDArray[np.int64]
    """[N] steps until the world was over."""


def roll_out(
    toy: type[Toy], plan_sampler: PlanSampler, seeds: Sequence[int], steps: int | None = None, past_actions: int = 0
) -> RolloutResult:
    """One rollout per seed; the noise of plans comes from the first seed."""
    worlds = toy()
    worlds.reset(seeds)
    generator = torch.Generator().manual_seed(seeds[0])
    horizon, execute = plan_sampler.act.horizon, plan_sampler.act.execute
    chunk = np.zeros((len(seeds), horizon, toy.joints), np.float32)
    past = np.repeat(worlds.observe().position[:, None], past_actions, axis=1)
    used: list[Tensor] = []
    lasted = np.zeros(len(seeds), np.int64)
    now = 0
    while not worlds.over.all():
        live = np.flatnonzero(~worlds.over)
        if now % execute == 0:
            current = observations(worlds.observe(), past).rows(live)
            position = current.joints["position"]
            tail = None if now == 0 else _tail(plan_sampler, torch.from_numpy(chunk[live]), position)
            samples = plan_sampler(plan_sampler.model.encode(current), tail, SamplingBudget(steps), generator)
            chunk[live] = plan_sampler.model.denormalise(samples.x, position).numpy()
            used.append(samples.gradient_evaluations)
        goal = chunk[:, now % execute]
        worlds.step(goal)
        past = np.concatenate([past, goal[:, None]], axis=1)[:, 1:] if past_actions else past
        lasted[live] += 1
        now += 1
    return RolloutResult(worlds.succeeded, float(torch.cat(used).double().mean()), lasted)


def _tail(plan_sampler: PlanSampler, chunk_NHJ: Tensor, position_NJ: Tensor) -> PlanTail:
    past = plan_sampler.act.execute
    rest = torch.cat([chunk_NHJ[:, past:], chunk_NHJ[:, -1:].expand(-1, past, -1)], dim=1)
    known = torch.ones(rest.shape[:2])
    known[:, -past:] = 0
    return PlanTail(plan_sampler.model.normalise(rest, position_NJ), known)
