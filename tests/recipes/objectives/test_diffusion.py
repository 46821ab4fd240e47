"""The diffusion baseline: its samplers."""

import torch

from ebt_recipes.objectives.build import build_objective
from tests.recipes.objectives.conftest import HORIZON, JOINTS, make


def test_a_diffusion_visits_every_level_or_skips_some() -> None:
    recipe, model = make("diffusion")
    objective, context = build_objective(recipe.objective), torch.randn(2, model.tokens, 16)
    drawn = [
        objective.sample(model, context, steps, torch.Generator().manual_seed(seed), torch.ones(2, HORIZON, JOINTS)).x
        for steps, seed in ((20, 1), (20, 2), (5, 1), (5, 2))
    ]
    assert not torch.equal(drawn[0], drawn[1])  # DDPM draws noise on the way
    assert torch.equal(drawn[2], drawn[3])  # DDIM does not
