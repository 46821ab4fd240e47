"""Trains one policy for an arena, as the benchmark of policies does, and keeps a copy after several numbers of updates.

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

MIN_UPDATES_TO_COMPILE = 200
"""From so many updates on, compiling saves time."""


def train(
    arena: Arena, objective: Mapping[str, Any], seed: int, cuts: Sequence[int], fit_observations: int
) -> tuple[dict[int, PlanSampler], Observations]:
    """Plan samplers by number of updates, with averaged weights and a learning rate that is constant after the warm-up.

    The second result is `fit_observations` observations [M] of the training data, to fit reference statistics on.
    """
    recipe = arena.recipe(objective, training={"seed": seed})
    training_data = arena.training_data(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = Learner(recipe, arena.network(recipe, training_data))
    if max(cuts) >= MIN_UPDATES_TO_COMPILE:
        learner.compile()
    samplers = {}
    while learner.step < max(cuts):
        learner.update(training_data.training_batch(learner.step), done=0.0)
        if learner.step in cuts:
            model = copy.deepcopy(learner.averaged).eval().requires_grad_(False)
            samplers[learner.step] = PlanSampler(model, build_objective(recipe.objective), recipe.act)
    return samplers, training_data.sample_observations(fit_observations)
