"""Detectors beside those of the product, small and honest, and all of them behind one call.

fit_encoder(plan_sampler, seen, names) -> FeatureEncoder            fitted on observations that were demonstrated
FeatureEncoder(plan_context, rows, memory) -> {name: Tensor [B]}, higher is worse

    stac      how far apart the overlapping parts of two successive sets of plans lie (after STAC, arXiv 2410.04640)
    spread    how much the plans of one set differ
    rnd       error of a network that learnt to copy a frozen random one on demonstrated observations
    logpzo    |z|^2 of the noise to which a flow takes the observation (after FAIL-Detect, arXiv 2503.08558)

None of these needs an energy: they are what an energy's scores must beat.

Shapes: B rows, N of all worlds, S plans of a set, H ticks, J joints, F features, M demonstrated observations.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.uncertainty.fit_reference import fit_reference
from ebt_recipes.uncertainty.scores import PlanContext, Scorer

SET = 16
"""Plans drawn for the detectors that look at a distribution; STAC's authors take 256."""
MEMORIES = 4000
"""Demonstrated observations that detectors are fitted on."""
UPDATES, BATCH, RATE, WIDTH = 1500, 256, 1e-3, 128
INTO = 32
"""Numbers that the random network gives."""
EULER = 10
SAMPLED = ("stac", "spread")
"""These need a set of plans for every plan: sixteen times the work."""
NOVEL = ("rnd", "logpzo")


class Novelty(nn.Module):
    """Two rulers for how new an observation is, learnt from demonstrated ones."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.frozen, self.copy = _network(features, INTO), _network(features, INTO)
        self.flow = _network(features + 1, features)

    def rnd(self, features_BF: Tensor) -> Tensor:
        standard = self._standard(features_BF)
        error: Tensor = (self.copy(standard) - self.frozen(standard)).square().mean(dim=1)
        return error

    def logpzo(self, features_BF: Tensor) -> Tensor:
        z = self._standard(features_BF)
        for k in range(EULER):
            z = z + self._speed(z, torch.full((len(z), 1), k / EULER)) / EULER
        return z.square().mean(dim=1)

    def learn(self, features_MF: Tensor, seed: int = 0) -> None:
        """The copy by its error; the flow by matching straight lines from data, at 0, to noise, at 1."""
        generator = torch.Generator().manual_seed(seed)
        self.mean, self.std = features_MF.mean(dim=0), features_MF.std(dim=0).clamp(min=1e-3)
        learnt = [*self.copy.parameters(), *self.flow.parameters()]
        optimiser = torch.optim.AdamW(learnt, RATE, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, UPDATES)
        with torch.enable_grad():
            for _ in range(UPDATES):
                rows = torch.randint(len(features_MF), (BATCH,), generator=generator)
                loss = self._loss(self._standard(features_MF[rows]), generator)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
        self.requires_grad_(False)

    def _loss(self, standard: Tensor, generator: torch.Generator) -> Tensor:
        copied = (self.copy(standard) - self.frozen(standard).detach()).square().mean()
        noise = torch.randn(standard.shape, generator=generator)
        time = torch.rand((len(standard), 1), generator=generator)
        speed = self._speed(torch.lerp(standard, noise, time), time)
        return copied + (speed - (noise - standard)).square().mean()

    def _speed(self, x: Tensor, time_B1: Tensor) -> Tensor:
        speed: Tensor = self.flow(torch.cat([x, time_B1], dim=1))
        return speed

    def _standard(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


def _network(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(into, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, out))


@dataclass
class Memory:
    """The newest set of plans of every world."""

    sets: Tensor
    """[N, S, H, J] absolute goals; NaN before the first."""


@dataclass(frozen=True)
class FeatureEncoder:
    """Everything that can be watched, by name."""

    plan_sampler: PlanSampler
    scorer: Scorer
    novelty: Novelty
    names: tuple[str, ...]

    def remember(self, worlds: int) -> Memory:
        """Nothing yet."""
        model = self.plan_sampler.model
        return Memory(torch.full((worlds, SET, model.horizon, model.joints), torch.nan))

    @torch.no_grad()
    def __call__(self, plan_context: PlanContext, rows: NDArray[np.int64], memory: Memory) -> dict[str, Tensor]:
        """[B] each, for new plans of the worlds `rows`."""
        found = self.scorer(tuple(name for name in self.names if name not in (*SAMPLED, *NOVEL)), plan_context)
        if "rnd" in self.names:
            found["rnd"] = self.novelty.rnd(plan_context.features)
        if "logpzo" in self.names:
            found["logpzo"] = self.novelty.logpzo(plan_context.features)
        if any(name in self.names for name in SAMPLED):
            found |= self._of_sets(plan_context, torch.from_numpy(rows), memory)
        return {name: found[name] for name in self.names}

    def _of_sets(self, plan_context: PlanContext, rows: Tensor, memory: Memory) -> dict[str, Tensor]:
        model, past = self.plan_sampler.model, self.plan_sampler.act.execute
        luck = torch.Generator().manual_seed(int(1e6 * float(plan_context.time_s[0])))
        many = plan_context.context.repeat_interleave(SET, dim=0)
        x = self.plan_sampler.objective.sample(model, many, None, luck).x
        poses = plan_context.position.repeat_interleave(SET, dim=0)
        old = model.normalise(memory.sets[rows].flatten(0, 1), poses).view(len(rows), SET, *x.shape[1:])
        memory.sets[rows] = model.denormalise(x, poses).view_as(old)
        new = x.view_as(old)
        apart = discrepancy(new[:, :, :-past].flatten(2), old[:, :, past:].flatten(2))
        return {"stac": apart.nan_to_num(nan=0.0), "spread": new.var(dim=1).mean(dim=(1, 2))}


def discrepancy(one_BSD: Tensor, other_BSD: Tensor) -> Tensor:
    """Maximum mean discrepancy [B] of two sets, with minus the distance as its kernel, which has no width to choose."""
    own = pairwise(one_BSD, one_BSD) + pairwise(other_BSD, other_BSD)
    return 2 * pairwise(one_BSD, other_BSD) - own


def pairwise(one_BSD: Tensor, other_BSD: Tensor) -> Tensor:
    """Mean distance [B] of all pairs, root mean square over D."""
    return torch.cdist(one_BSD, other_BSD).mean(dim=(1, 2)) / one_BSD.shape[2] ** 0.5


@torch.no_grad()
def fit_encoder(plan_sampler: PlanSampler, seen: Observations, names: tuple[str, ...], seed: int = 0) -> FeatureEncoder:
    """Fit what is normal on these demonstrated observations [M], as the product does and beside it."""
    features = plan_sampler.model.encoder.features(seen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        novelty = Novelty(features.shape[1])
    novelty.learn(features, seed)
    return FeatureEncoder(
        plan_sampler, Scorer(plan_sampler.model, fit_reference(plan_sampler, [seen], seed)), novelty, names
    )
