"""The `objective` section: its kinds, and the number of steps that each samples in."""

from typing import get_args

import pytest
from pydantic import ValidationError

from ebt_recipes.objective_recipe import EquilibriumMatchingRecipe, ObjectiveRecipe
from ebt_recipes.recipe import parse_recipe

SECTIONS = get_args(get_args(ObjectiveRecipe)[0])


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section().kind)
def test_a_kind_selects_its_own_section(section: type) -> None:
    recipe = parse_recipe({"name": "x", "objective": {"kind": section().kind}}, "test")
    assert recipe.objective == section() and type(recipe.objective) is section


@pytest.mark.parametrize(
    ("objective", "steps"),
    [
        ({"kind": "equilibrium_matching", "step_sizes": (1.0, 0.5)}, 2),
        ({"kind": "unrolled_ebt", "steps": 7, "step_sizes": (1.0,)}, 1),
        ({"kind": "annealed", "steps": 6}, 6),
        ({"kind": "regression"}, 1),
        ({"kind": "mip"}, 2),
        ({"kind": "flow", "steps": 5}, 5),
        ({"kind": "diffusion", "levels": 50, "steps": 8}, 8),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_the_default_steps_are_those_of_the_sampler(objective: dict[str, object], steps: int) -> None:
    assert parse_recipe({"name": "x", "objective": objective}, "test").objective.default_steps == steps


def test_a_section_is_immutable() -> None:
    section = EquilibriumMatchingRecipe()
    with pytest.raises(ValidationError, match="frozen"):
        section.level_weight = 0.5  # type: ignore[misc]
