"""Fits a trained policy's reference statistics from its plans for demonstrated observations."""

from collections.abc import Iterable

import torch

from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import PlanSampler, SamplingBudget
from ebt_recipes.uncertainty.reference import Reference

ROWS = 4096
"""Demonstrated observations that suffice."""


@torch.no_grad()
def fit_reference(plan_sampler: PlanSampler, batches: Iterable[Observations], seed: int) -> Reference:
    """Sample a plan per observation, and fit the statistics of energies, features and hidden states."""
    generator = torch.Generator().manual_seed(seed)
    model = plan_sampler.model
    features, energies, hidden = [], [], []
    for observations in batches:
        features.append(model.encoder.features(observations))
        context = model.encoder.embed(features[-1])
        samples = plan_sampler(context, None, SamplingBudget(), generator)
        energies.append(samples.energies[:, -1].nan_to_num(nan=0.0))  # a vector field has none, and no score needs it
        hidden.append(model.body.hidden(samples.x, context))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        reference = Reference(features[0].shape[1], model.body.width)
        reference.fit(torch.cat(features), torch.cat(energies), torch.cat(hidden), seed)
    return reference.eval()
