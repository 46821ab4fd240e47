"""Trains one policy for an arena, as the benchmark of policies does, and keeps it as it stood at several moments.

Shapes: M demonstrated observations.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.worlds.arena import Arena
from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.build import build_objective
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.training.learner import Learner

LONG = 200
"""Updates from which compiling pays."""


def train(
    arena: Arena, objective: Mapping[str, Any], seed: int, cuts: Sequence[int], shown: int
) -> tuple[dict[int, PlanSampler], Observations]:
    """A policy by updates, at a learning rate that is constant after the warm-up, with averaged weights.

    And `shown` of the observations [M] that it was taught, for whatever is to learn from them what is normal.
    """
    recipe = arena.recipe(objective, training={"seed": seed})
    training_data = arena.training_data(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = Learner(recipe, arena.network(recipe, training_data))
    if max(cuts) >= LONG:
        learner.compile()
    found = {}
    while learner.step < max(cuts):
        learner.update(training_data.training_batch(learner.step), done=0.0)
        if learner.step in cuts:
            model = copy.deepcopy(learner.averaged).eval().requires_grad_(False)
            found[learner.step] = PlanSampler(model, build_objective(recipe.objective), recipe.act)
    return found, training_data.shown(shown)
