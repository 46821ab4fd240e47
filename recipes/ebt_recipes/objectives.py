"""Which objective a recipe asks for."""

from ebt_recipes.objective import EquilibriumMatching, Objective
from ebt_recipes.recipe import ObjectiveRecipe, UnrolledRecipe
from ebt_recipes.unrolled import UnrolledEBT


def build_objective(recipe: ObjectiveRecipe) -> Objective:
    """The objective with the recipe's numbers."""
    return UnrolledEBT(recipe) if isinstance(recipe, UnrolledRecipe) else EquilibriumMatching(recipe)
