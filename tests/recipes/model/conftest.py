"""A small energy model with one camera, and observations for it."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import Recipe, parse_recipe

JOINTS, HORIZON = 3, 4


def make_recipe(**sections: object) -> Recipe:
    small = {"model": {"width": 16, "heads": 2}, "encoder": {"image_size": 16, "channels": (4, 4, 4)}}
    return parse_recipe({"name": "small", "act": {"horizon": HORIZON}, **small, **sections}, "test")


def make_model(recipe: Recipe) -> EnergyModel:
    torch.manual_seed(0)
    spread = MeanStd(np.full(JOINTS, 0.1, np.float32), np.full(JOINTS, 0.5, np.float32))
    chunk = MeanStd(np.full((HORIZON, JOINTS), 0.2, np.float32), np.full((HORIZON, JOINTS), 0.3, np.float32))
    return EnergyModel(recipe, ("top",), JOINTS, Statistics({"position": spread, "effort": spread}, chunk))


def observe(rows: int) -> Observations:
    generator = torch.Generator().manual_seed(1)
    images = {"top": torch.randint(0, 256, (rows, 16, 16, 3), generator=generator, dtype=torch.uint8)}
    joints = {name: torch.randn(rows, JOINTS, generator=generator) for name in ("position", "effort")}
    return Observations(images, joints, {})


@pytest.fixture
def model() -> EnergyModel:
    return make_model(make_recipe())
