"""Rolls a policy out on many worlds at once, re-planning for all of them together.

Shapes: N worlds, H ticks of a chunk, J joints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.worlds.toys.learning import observations
from benchmarks.worlds.toys.toy import Toy
from ebt_recipes.objectives.plan_sampler import Effort, PlanSampler, Tail


@dataclass(frozen=True)
class Outcome:
    """How the rollouts went."""

    succeeded: NDArray[np.bool_]
    """[N]"""
    steps_used: float
    """Mean of the sampler's steps over all plans."""
    lasted: NDArray[np.int64]
    """[N] steps until the world was over."""


def roll_out(
    toy: type[Toy], plan_sampler: PlanSampler, seeds: Sequence[int], steps: int | None = None, past_actions: int = 0
) -> Outcome:
    """One rollout on each seed; the noise of plans comes from the first seed."""
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
            seen = observations(worlds.observe(), past).rows(live)
            position = seen.joints["position"]
            tail = None if now == 0 else _tail(plan_sampler, torch.from_numpy(chunk[live]), position)
            found = plan_sampler(plan_sampler.model.encode(seen), tail, Effort(steps), generator)
            chunk[live] = plan_sampler.model.denormalise(found.x, position).numpy()
            used.append(found.slopes)
        goal = chunk[:, now % execute]
        worlds.step(goal)
        past = np.concatenate([past, goal[:, None]], axis=1)[:, 1:] if past_actions else past
        lasted[live] += 1
        now += 1
    return Outcome(worlds.succeeded, float(torch.cat(used).double().mean()), lasted)


def _tail(plan_sampler: PlanSampler, chunk_NHJ: Tensor, position_NJ: Tensor) -> Tail:
    past = plan_sampler.act.execute
    rest = torch.cat([chunk_NHJ[:, past:], chunk_NHJ[:, -1:].expand(-1, past, -1)], dim=1)
    known = torch.ones(rest.shape[:2])
    known[:, -past:] = 0
    return Tail(plan_sampler.model.normalise(rest, position_NJ), known)
