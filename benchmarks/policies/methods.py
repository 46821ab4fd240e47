"""The objectives that the benchmarks compare, all on one network, and the sampler steps of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ebt_recipes.recipe import load_recipe


@dataclass(frozen=True)
class Method:
    """One row of a table."""

    objective: Mapping[str, Any]
    """The recipe's section `objective`."""
    steps: tuple[int | None, ...]
    """Of the sampler; None: adaptive, until the slope is below the recipe's tolerance."""
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other sections of the recipe that differ from the shared ones."""
    weights: str = ""
    """The method whose trained network this one samples in another way; empty: its own."""


def published_method(name: str) -> Method:
    """One of the paper's configurations, with its objective and network; the optimiser is shared."""
    recipe = load_recipe(name)
    objective = recipe.objective.model_dump()
    return Method(objective, (1, 2, 4, None), {"model": {"bowl": recipe.model.bowl}})


ENERGY = "energy"
METHODS: Mapping[str, Method] = {
    ENERGY: Method({"kind": "equilibrium_matching", "stride": "level"}, (1, 2, 4, None)),
    "energy, fixed steps": Method({"kind": "equilibrium_matching"}, (1, 2, 4, None), weights=ENERGY),
    "energy, wider bowl": Method(
        {"kind": "equilibrium_matching", "stride": "level", "flat_until": 0.65}, (1, 2, 4, None)
    ),
    "EBT, mixed levels": Method({"kind": "unrolled_ebt"}, (1, 2, 4, None)),
    "EBT, October": published_method("ebt_october"),
    "EBT, November": published_method("ebt_november"),
    "annealed energies": Method({"kind": "annealed"}, (1, 2, 4)),
    "field, no energy": Method({"kind": "equilibrium_field"}, (1, 2, 4, None)),
    "regression": Method({"kind": "regression"}, (1,)),
    "MIP": Method({"kind": "mip"}, (2,)),
    "flow": Method({"kind": "flow"}, (1, 2, 9)),
    "diffusion": Method({"kind": "diffusion"}, (2, 10, 100)),
}
