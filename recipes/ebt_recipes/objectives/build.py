"""Builds the objective of a recipe and the network that it trains."""

from typing import Any, assert_never

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.field import FieldModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.objective_recipe import (
    AnnealedRecipe,
    DiffusionRecipe,
    EquilibriumFieldRecipe,
    EquilibriumMatchingRecipe,
    FlowRecipe,
    IterativeRegressionRecipe,
    ObjectiveRecipe,
    RegressionRecipe,
    UnrolledRecipe,
)
from ebt_recipes.objectives.annealed import AnnealedEnergies
from ebt_recipes.objectives.diffusion import Diffusion
from ebt_recipes.objectives.equilibrium import EquilibriumField, EquilibriumMatching
from ebt_recipes.objectives.flow import Flow
from ebt_recipes.objectives.objective import Objective
from ebt_recipes.objectives.regression import IterativeRegression, Regression
from ebt_recipes.objectives.unrolled import UnrolledEBT
from ebt_recipes.recipe import Recipe


def build_objective(recipe: ObjectiveRecipe) -> Objective[Any]:
    """The objective of a recipe, for the network that `build_model` returns for the same recipe."""
    match recipe:
        case EquilibriumMatchingRecipe():
            return EquilibriumMatching(recipe)
        case UnrolledRecipe():
            return UnrolledEBT(recipe)
        case AnnealedRecipe():
            return AnnealedEnergies(recipe)
        case EquilibriumFieldRecipe():
            return EquilibriumField(recipe)
        case RegressionRecipe():
            return Regression(recipe)
        case IterativeRegressionRecipe():
            return IterativeRegression(recipe)
        case FlowRecipe():
            return Flow(recipe)
        case DiffusionRecipe():
            return Diffusion(recipe)
        case _:
            assert_never(recipe)


def build_model(recipe: Recipe, cameras: tuple[str, ...], joints: int, statistics: Statistics) -> ChunkModel:
    """An energy model if the objective trains one, else a vector field; with the recipe's width and depth."""
    match recipe.objective:
        case EquilibriumMatchingRecipe() | UnrolledRecipe():
            return EnergyModel(recipe, cameras, joints, statistics)
        case AnnealedRecipe():
            return EnergyModel(recipe, cameras, joints, statistics, timed=True)
        case EquilibriumFieldRecipe():
            return FieldModel(recipe, cameras, joints, statistics, timed=False)
        case _:
            return FieldModel(recipe, cameras, joints, statistics)
