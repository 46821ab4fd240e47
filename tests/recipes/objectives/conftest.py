"""Small networks for any objective, and two toy problems: one chunk per observation, and two."""

import numpy as np
import torch

from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.objectives.build import build_model
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.training.learner import Learner

JOINTS, HORIZON = 2, 4
TWO_MODES_HORIZON = 2
KINDS: dict[str, dict[str, object]] = {
    "equilibrium_matching": {"stride": "level"},
    "unrolled_ebt": {"rms_norm": True, "momentum": 0.9, "energy_scaled": True, "temperature": 2.0},
    "annealed": {},
    "equilibrium_field": {},
    "regression": {},
    "mip": {},
    "flow": {},
    "diffusion": {"levels": 20},
}


def make(kind: str, **objective: object) -> tuple[Recipe, ChunkModel]:
    sections = {
        "objective": {"kind": kind, **KINDS[kind], **objective},
        "model": {"width": 16, "layers": 1, "heads": 2},
        "act": {"horizon": HORIZON, "relative": False},
        "training": {"learning_rate": 3e-3, "warmup_steps": 5, "shards": 1, "ema": 0.9},
    }
    recipe = parse_recipe({"name": kind, **sections}, "test")
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    torch.manual_seed(0)
    return recipe, build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))


def toy_batch(rows: int, seed: int) -> Batch:
    """Each joint goes to where the observation says, a little further every tick."""
    place = torch.randn(rows, JOINTS, generator=torch.Generator().manual_seed(seed))
    chunk = place[:, None] * torch.linspace(0.25, 1, HORIZON)[:, None]
    return Batch(Observations({}, {"position": place}, {}), chunk, torch.ones(rows, HORIZON), place)


def toy(**objective: object) -> tuple[Recipe, EnergyModel]:
    sections = {
        "objective": {"kind": "equilibrium_matching", **objective},
        "model": {"width": 32, "layers": 1, "heads": 2},
        "observe": {"joints": ("position",)},
        "act": {"horizon": TWO_MODES_HORIZON, "relative": False},
        "training": {"learning_rate": 5e-3, "warmup_steps": 10, "ema": 0.98},
    }
    torch.manual_seed(0)
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    chunk = MeanStd(np.zeros((TWO_MODES_HORIZON, JOINTS), np.float32), np.ones((TWO_MODES_HORIZON, JOINTS), np.float32))
    recipe = parse_recipe({"name": "toy", **sections}, "test")
    return recipe, EnergyModel(recipe, (), JOINTS, Statistics({"position": unit}, chunk))


def two_modes(rows: int, seed: int) -> Batch:
    """The same observation, followed half of the time by all +1 and half by all -1."""
    side = torch.randint(0, 2, (rows, 1, 1), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    observations = Observations({}, {"position": torch.zeros(rows, JOINTS)}, {})
    return Batch(
        observations,
        side.expand(rows, TWO_MODES_HORIZON, JOINTS),
        torch.ones(rows, TWO_MODES_HORIZON),
        torch.zeros(rows, JOINTS),
    )


def learn(recipe: Recipe, model: EnergyModel, updates: int) -> Learner:
    learner = Learner(recipe, model)
    for step in range(updates):
        learner.update(two_modes(64, step), step / updates)
    return learner


def near_modes(chunks: torch.Tensor) -> tuple[float, float]:
    """Fractions of chunks within .25 of all +1, and of all -1."""
    up, down = ((chunks - side).abs().amax(dim=(1, 2)) < 0.25 for side in (1, -1))
    return float(up.float().mean()), float(down.float().mean())
