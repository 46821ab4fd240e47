"""How a plan is chosen, given the current one."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.objectives.plan_sampler import PlanSampler, PlanTail, SamplingBudget
from ebt_recipes.recipe import parse_recipe

JOINTS, HORIZON, WIDTH = 2, 4, 16


def plan_sampler(kind: str = "equilibrium_matching", **act: object) -> PlanSampler:
    sections = {"objective": {"kind": kind}, "model": {"width": WIDTH, "layers": 1, "heads": 2}}
    recipe = parse_recipe({"name": "t", **sections, "act": {"horizon": HORIZON, "execute": 2, **act}}, "test")
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    torch.manual_seed(0)
    model = build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))
    return PlanSampler(model.eval().requires_grad_(False), build_objective(recipe.objective), recipe.act)


def contexts(rows: int) -> torch.Tensor:
    return torch.randn(rows, 1, WIDTH, generator=torch.Generator().manual_seed(1))


def tail(rows: int, valid: int = HORIZON - 2, size: float = 1.0) -> PlanTail:
    x = size * torch.randn(rows, HORIZON, JOINTS, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(rows, HORIZON)
    mask[:, :valid] = 1
    return PlanTail(x, mask)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_distance_is_measured_over_the_old_plans_remaining_ticks() -> None:
    old = tail(3)
    other = old.x.clone()
    other[:, :2] += 2.0  # before its end
    other[:, 2:] += 50.0  # past the old plan's end
    torch.testing.assert_close(old.distance(other), torch.full((3,), 4.0))
    torch.testing.assert_close(tail(3, valid=0).distance(other), torch.zeros(3))


def test_of_several_the_lowest_energy_is_taken() -> None:
    one, best = plan_sampler(), plan_sampler(samples=16)
    context = contexts(6)
    alone = one(context, None, SamplingBudget(), seeded()).energies[:, -1]
    chosen = best(context, None, SamplingBudget(), seeded()).energies[:, -1]
    assert chosen.mean() < alone.mean()


def test_of_several_the_nearest_to_the_old_plan_is_taken_with_a_large_weight() -> None:
    old, context = tail(6), contexts(6)
    free, near = (
        plan_sampler(samples=16, closeness=weight)(context, old, SamplingBudget(), seeded()) for weight in (0.0, 1e6)
    )
    assert (old.distance(near.x) <= old.distance(free.x)).all()
    assert (old.distance(near.x) < old.distance(free.x)).any()


def test_a_policy_without_an_energy_has_the_same_options() -> None:
    old, context = tail(4), contexts(4)
    first = plan_sampler("flow")(context, old, SamplingBudget(), seeded())
    near = plan_sampler("flow", samples=16, closeness=1.0)(context, old, SamplingBudget(), seeded())
    assert old.distance(near.x).mean() < old.distance(first.x).mean()


def test_a_warm_start_leads_back_to_the_old_plan() -> None:
    old, context = tail(8, size=3.0), contexts(8)
    cold, warm = (
        plan_sampler(warm_level=level)(context, old, SamplingBudget(steps=0), seeded()).x for level in (0.0, 0.9)
    )
    assert old.distance(warm).mean() < 0.1 * old.distance(cold).mean()


@pytest.mark.parametrize(("below", "valid", "kept"), [(1e9, 2, True), (1e9, 1, False), (0.0, 2, False)])
def test_a_converged_old_plan_is_kept_if_it_lasts_until_the_next(below: float, valid: int, kept: bool) -> None:
    old, context = tail(3, valid), contexts(3)
    samples = plan_sampler(keep_below=below)(context, old, SamplingBudget(), seeded())
    assert torch.equal(samples.x, old.x) is kept
    assert bool((samples.gradient_evaluations == 1).all()) is kept


def test_each_row_keeps_or_renews_its_plan_separately() -> None:
    old, context = tail(40), contexts(40)
    plain = plan_sampler()
    assert isinstance(plain.model, EnergyModel)
    gradient = plain.model.gradient(context, old.x)[1].square().mean(dim=(1, 2)).sqrt()
    median = float(gradient.median())
    samples = plan_sampler(keep_below=median)(context, old, SamplingBudget(), seeded())
    same = (samples.x == old.x).flatten(1).all(dim=1)
    assert torch.equal(same, gradient < median) and 0 < same.sum() < 40
