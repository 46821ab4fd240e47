"""Plans for some of many worlds at a time, each world with luck of its own.

Two rollouts on one seed get the same noise for their first plan, their second and so on, whoever is planned for beside
them: what differs between them is then owed to what was done, not to the draw.

Shapes: N worlds, B of them, H ticks of a chunk, J joints.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.worlds.toys.learning import observations
from benchmarks.worlds.toys.toy import View
from benchmarks.worlds.watched import RATE_HZ
from ebt_recipes.objectives.plan_sampler import Effort, PlanSampler, Tail
from ebt_recipes.uncertainty.scores import PlanContext

Numbers = NDArray[np.int64]


class Desk:
    """The newest plan of every world."""

    def __init__(self, plan_sampler: PlanSampler, seeds: Sequence[int]) -> None:
        self.plan_sampler = plan_sampler
        self.seeds = seeds
        worlds, model = len(seeds), plan_sampler.model
        self.chunk = np.zeros((worlds, model.horizon, model.joints), np.float32)
        """[N, H, J] absolute goals."""
        self.made = np.full(worlds, -1)
        """[N] step at which it was made; -1: there is none."""
        self._drawn = np.zeros(worlds, np.int64)

    def plan(self, view: View, rows: Numbers, now: int, effort: Effort) -> PlanContext:
        """Make new plans for the worlds `rows` at step `now`; `view` is of all worlds."""
        plan_sampler = self.plan_sampler
        seen = observations(view).rows(rows)
        position = seen.joints["position"]
        features = plan_sampler.model.encoder.features(seen)
        context = plan_sampler.model.encoder.embed(features)
        tail = self._tail(rows, now, position)
        noise = self._noise(rows, max(effort.samples, plan_sampler.act.samples))
        samples = plan_sampler(context, tail, effort, torch.Generator().manual_seed(now), noise)
        self.chunk[rows] = plan_sampler.model.denormalise(samples.x, position).numpy()
        self.made[rows] = now
        time_s = torch.full((len(rows),), now / RATE_HZ)
        return PlanContext(time_s, position, features, context, samples, tail)

    def goals(self, rows: Numbers, now: int) -> NDArray[np.float32]:
        """[B, J] for step `now`; past the plan's end its last."""
        found: NDArray[np.float32] = self.chunk[rows, np.minimum(now - self.made[rows], self.chunk.shape[1] - 1)]
        return found

    def forget(self, row: int) -> None:
        """Nothing is then left of the plan, which the next is neither compared with nor begun from."""
        self.made[row] = -1

    def _tail(self, rows: Numbers, now: int, position_BJ: Tensor) -> Tail:
        horizon = self.chunk.shape[1]
        made = self.made[rows]
        ahead = np.where(made < 0, horizon, now - made)[:, None] + np.arange(horizon)
        rest = self.chunk[rows[:, None], np.minimum(ahead, horizon - 1)]
        known = torch.from_numpy((ahead < horizon).astype(np.float32))
        return Tail(self.plan_sampler.model.normalise(torch.from_numpy(rest), position_BJ), known)

    def _noise(self, rows: Numbers, times: int) -> Tensor:
        shape = (times, *self.chunk.shape[1:])
        draws = []
        for row in rows.tolist():
            luck = np.random.SeedSequence((self.seeds[row], int(self._drawn[row]))).generate_state(1, np.uint64)
            draws.append(torch.randn(shape, generator=torch.Generator().manual_seed(int(luck[0]) >> 1)))
            self._drawn[row] += 1
        return torch.cat(draws)
