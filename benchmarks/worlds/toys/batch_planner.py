"""Plans for several worlds in one batch, with noise from each world's own seed.

Two rollouts on one seed get the same noise for their first plan, their second and so on, whatever else is in the
batch: a difference between them is then due to the disturbance or the retry, not to the noise.

Shapes: N worlds, B of them, H ticks of a chunk, J joints.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.worlds.rollout_results import RATE_HZ
from benchmarks.worlds.toys.toy import View
from benchmarks.worlds.toys.training_data import observations
from ebt_recipes.objectives.plan_sampler import PlanSampler, PlanTail, SamplingBudget
from ebt_recipes.uncertainty.scores import PlanContext

Numbers = NDArray[np.int64]


class BatchPlanner:
    """Makes plans in batches and keeps the newest plan of every world."""

    def __init__(self, plan_sampler: PlanSampler, seeds: Sequence[int]) -> None:
        self.plan_sampler = plan_sampler
        self.seeds = seeds
        worlds, model = len(seeds), plan_sampler.model
        self.chunk = np.zeros((worlds, model.horizon, model.joints), np.float32)
        """[N, H, J] absolute goals."""
        self.planned_at = np.full(worlds, -1)
        """[N] step of the newest plan; -1: no plan."""
        self._drawn = np.zeros(worlds, np.int64)

    def plan(self, view: View, rows: Numbers, now: int, budget: SamplingBudget) -> PlanContext:
        """Make new plans for the worlds `rows` at step `now`; `view` is of all worlds."""
        plan_sampler = self.plan_sampler
        current = observations(view).rows(rows)
        position = current.joints["position"]
        features = plan_sampler.model.encoder.features(current)
        context = plan_sampler.model.encoder.embed(features)
        tail = self._tail(rows, now, position)
        noise = self._noise(rows, max(budget.samples, plan_sampler.act.samples))
        samples = plan_sampler(context, tail, budget, torch.Generator().manual_seed(now), noise)
        self.chunk[rows] = plan_sampler.model.denormalise(samples.x, position).numpy()
        self.planned_at[rows] = now
        time_s = torch.full((len(rows),), now / RATE_HZ)
        return PlanContext(time_s, position, features, context, samples, tail)

    def goals(self, rows: Numbers, now: int) -> NDArray[np.float32]:
        """Goals [B, J] for step `now`; past a plan's end its last goal."""
        goals: NDArray[np.float32] = self.chunk[rows, np.minimum(now - self.planned_at[rows], self.chunk.shape[1] - 1)]
        return goals

    def discard(self, row: int) -> None:
        """Delete a world's plan: the next plan is neither compared with it nor started from it."""
        self.planned_at[row] = -1

    def _tail(self, rows: Numbers, now: int, position_BJ: Tensor) -> PlanTail:
        horizon = self.chunk.shape[1]
        planned_at = self.planned_at[rows]
        offsets = np.where(planned_at < 0, horizon, now - planned_at)[:, None] + np.arange(horizon)
        remaining = self.chunk[rows[:, None], np.minimum(offsets, horizon - 1)]
        known = torch.from_numpy((offsets < horizon).astype(np.float32))
        return PlanTail(self.plan_sampler.model.normalise(torch.from_numpy(remaining), position_BJ), known)

    def _noise(self, rows: Numbers, times: int) -> Tensor:
        shape = (times, *self.chunk.shape[1:])
        draws = []
        for row in rows.tolist():
            seed_words = np.random.SeedSequence((self.seeds[row], int(self._drawn[row]))).generate_state(1, np.uint64)
            draws.append(torch.randn(shape, generator=torch.Generator().manual_seed(int(seed_words[0]) >> 1)))
            self._drawn[row] += 1
        return torch.cat(draws)
