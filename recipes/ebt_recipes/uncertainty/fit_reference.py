"""Teaches a trained policy what is normal, from its plans for what was demonstrated."""

from collections.abc import Iterable

import torch

from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import Effort, PlanSampler
from ebt_recipes.uncertainty.reference import Reference

ROWS = 4096
"""Demonstrated observations that are enough."""


@torch.no_grad()
def fit_reference(plan_sampler: PlanSampler, parts: Iterable[Observations], seed: int) -> Reference:
    """Plan once for every observation, and learn what energies, features and thoughts are usual."""
    generator = torch.Generator().manual_seed(seed)
    model = plan_sampler.model
    features, energies, hidden = [], [], []
    for seen in parts:
        features.append(model.encoder.features(seen))
        context = model.encoder.embed(features[-1])
        samples = plan_sampler(context, None, Effort(), generator)
        energies.append(samples.energies[:, -1].nan_to_num(nan=0.0))  # a field has none, and no score that asks
        hidden.append(model.body.hidden(samples.x, context))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        reference = Reference(features[0].shape[1], model.body.width)
        reference.learn(torch.cat(features), torch.cat(energies), torch.cat(hidden), seed)
    return reference.eval()
