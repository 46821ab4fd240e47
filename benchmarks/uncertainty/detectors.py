"""Baseline detectors, and one object that computes their scores and the product's.

fit_detectors(plan_sampler, demonstrated, names) -> DetectorScorer      fitted on demonstrated observations
DetectorScorer(plan_context, rows, plan_sets) -> {name: Tensor [B]}, higher is worse

    stac      distance between the overlapping parts of two successive sets of plans (after STAC, arXiv 2410.04640)
    spread    variance of the plans of one set
    rnd       error of a network trained to predict a frozen random one on demonstrated observations
    logpzo    |z|^2 of the noise to which a flow maps the observation (after FAIL-Detect, arXiv 2503.08558)

None of these needs an energy: they are the baselines for the scores of an energy.

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
"""Plans sampled for the detectors that compare distributions; STAC's authors use 256."""
FIT_OBSERVATIONS = 4000
"""Demonstrated observations that detectors are fitted on."""
UPDATES, BATCH, LEARNING_RATE, WIDTH = 1500, 256, 1e-3, 128
RND_OUTPUTS = 32
"""Outputs of the random network."""
EULER_STEPS = 10
SET_SCORES = ("stac", "spread")
"""These sample a set of plans for every plan, at sixteen times the cost."""
NOVELTY_SCORES = ("rnd", "logpzo")


class Novelty(nn.Module):
    """Two novelty scores of observations, fitted on demonstrated ones."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.frozen, self.copy = _network(features, RND_OUTPUTS), _network(features, RND_OUTPUTS)
        self.flow = _network(features + 1, features)

    def rnd(self, features_BF: Tensor) -> Tensor:
        standard = self._standard(features_BF)
        error: Tensor = (self.copy(standard) - self.frozen(standard)).square().mean(dim=1)
        return error

    def logpzo(self, features_BF: Tensor) -> Tensor:
        z = self._standard(features_BF)
        for k in range(EULER_STEPS):
            z = z + self._velocity(z, torch.full((len(z), 1), k / EULER_STEPS)) / EULER_STEPS
        return z.square().mean(dim=1)

    def fit(self, features_MF: Tensor, seed: int = 0) -> None:
        """Train the copy on its error, and the flow on straight lines from data, at 0, to noise, at 1."""
        generator = torch.Generator().manual_seed(seed)
        self.mean, self.std = features_MF.mean(dim=0), features_MF.std(dim=0).clamp(min=1e-3)
        parameters = [*self.copy.parameters(), *self.flow.parameters()]
        optimiser = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=1e-4)
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
        velocity = self._velocity(torch.lerp(standard, noise, time), time)
        return copied + (velocity - (noise - standard)).square().mean()

    def _velocity(self, x: Tensor, time_B1: Tensor) -> Tensor:
        velocity: Tensor = self.flow(torch.cat([x, time_B1], dim=1))
        return velocity

    def _standard(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, outputs)
    )


@dataclass
class PlanSets:
    """The newest set of plans of every world."""

    sets: Tensor
    """[N, S, H, J] absolute goals; NaN before the first set."""


@dataclass(frozen=True)
class DetectorScorer:
    """Computes the scores of every detector by name."""

    plan_sampler: PlanSampler
    product_scorer: Scorer
    novelty: Novelty
    names: tuple[str, ...]

    def new_plan_sets(self, worlds: int) -> PlanSets:
        """Empty sets for so many worlds."""
        model = self.plan_sampler.model
        return PlanSets(torch.full((worlds, SET, model.horizon, model.joints), torch.nan))

    @torch.no_grad()
    def __call__(self, plan_context: PlanContext, rows: NDArray[np.int64], plan_sets: PlanSets) -> dict[str, Tensor]:
        """Scores [B] by name, for new plans of the worlds `rows`."""
        scores = self.product_scorer(
            tuple(name for name in self.names if name not in (*SET_SCORES, *NOVELTY_SCORES)), plan_context
        )
        if "rnd" in self.names:
            scores["rnd"] = self.novelty.rnd(plan_context.features)
        if "logpzo" in self.names:
            scores["logpzo"] = self.novelty.logpzo(plan_context.features)
        if any(name in self.names for name in SET_SCORES):
            scores |= self._set_scores(plan_context, torch.from_numpy(rows), plan_sets)
        return {name: scores[name] for name in self.names}

    def _set_scores(self, plan_context: PlanContext, rows: Tensor, plan_sets: PlanSets) -> dict[str, Tensor]:
        model, past = self.plan_sampler.model, self.plan_sampler.act.execute
        generator = torch.Generator().manual_seed(int(1e6 * float(plan_context.time_s[0])))
        contexts = plan_context.context.repeat_interleave(SET, dim=0)
        x = self.plan_sampler.objective.sample(model, contexts, None, generator).x
        poses = plan_context.position.repeat_interleave(SET, dim=0)
        previous = model.normalise(plan_sets.sets[rows].flatten(0, 1), poses).view(len(rows), SET, *x.shape[1:])
        plan_sets.sets[rows] = model.denormalise(x, poses).view_as(previous)
        current = x.view_as(previous)
        distance = discrepancy(current[:, :, :-past].flatten(2), previous[:, :, past:].flatten(2))
        return {"stac": distance.nan_to_num(nan=0.0), "spread": current.var(dim=1).mean(dim=(1, 2))}


def discrepancy(first_BSD: Tensor, second_BSD: Tensor) -> Tensor:
    """Maximum mean discrepancy [B] of two sets; the kernel is minus the distance, which has no width parameter."""
    within = pairwise(first_BSD, first_BSD) + pairwise(second_BSD, second_BSD)
    return 2 * pairwise(first_BSD, second_BSD) - within


def pairwise(first_BSD: Tensor, second_BSD: Tensor) -> Tensor:
    """Mean distance [B] of all pairs, root mean square over D."""
    return torch.cdist(first_BSD, second_BSD).mean(dim=(1, 2)) / first_BSD.shape[2] ** 0.5


@torch.no_grad()
def fit_detectors(
    plan_sampler: PlanSampler, demonstrated: Observations, names: tuple[str, ...], seed: int = 0
) -> DetectorScorer:
    """Fit reference statistics and baselines on these demonstrated observations [M]."""
    features = plan_sampler.model.encoder.features(demonstrated)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        novelty = Novelty(features.shape[1])
    novelty.fit(features, seed)
    return DetectorScorer(
        plan_sampler, Scorer(plan_sampler.model, fit_reference(plan_sampler, [demonstrated], seed)), novelty, names
    )
