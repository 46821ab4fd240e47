from ebt_recipes.equilibrium import EquilibriumMatching
from ebt_recipes.objectives import build_objective
from ebt_recipes.recipe import load_recipe
from ebt_recipes.unrolled import UnrolledEBT


def test_a_recipe_builds_the_objective_it_describes() -> None:
    assert isinstance(build_objective(load_recipe("pick_place").objective), EquilibriumMatching)
    assert isinstance(build_objective(load_recipe("pick_place_ebt").objective), UnrolledEBT)
