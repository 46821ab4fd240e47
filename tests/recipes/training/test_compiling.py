"""Compiled and eager results are the same; without a compiler, the reason is reported."""

import numpy as np
import pytest
import torch
import torch._dynamo.utils
import torch._inductor.config
import torch._inductor.utils

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.objectives.sampler import GradientDescent
from ebt_recipes.recipe import TrainingRecipe, parse_recipe
from ebt_recipes.training.compiling import compile_core, compile_plans, worth_compiling

HORIZON, JOINTS, WIDTH = 4, 3, 8
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning:torch")  # from torch while loading its compiler


@pytest.fixture
def model() -> EnergyModel:
    torch.manual_seed(0)
    sizes = {"model": {"width": WIDTH, "heads": 2, "layers": 1}, "act": {"horizon": HORIZON}}
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    chunk = MeanStd(np.zeros((HORIZON, JOINTS), np.float32), np.ones((HORIZON, JOINTS), np.float32))
    return EnergyModel(
        parse_recipe({"name": "tiny", **sizes}, "test"), (), JOINTS, Statistics({"position": unit}, chunk)
    )


@pytest.mark.slow
def test_a_compiled_gradient_is_the_eager_one(model: EnergyModel) -> None:
    context = torch.randn(4, model.tokens, WIDTH, requires_grad=True)
    x = torch.randn(4, HORIZON, JOINTS)
    energy, gradient = model.gradient(context, x)
    (expected,) = torch.autograd.grad(gradient.square().sum(), context)
    assert compile_core(model, rows=4, train=True) == ""
    fast_energy, fast_gradient = model.gradient(context, x)
    (compiled,) = torch.autograd.grad(fast_gradient.square().sum(), context)
    torch.testing.assert_close(
        (fast_energy, fast_gradient, compiled), (energy, gradient, expected), rtol=1e-4, atol=1e-5
    )


def test_without_a_compiler_it_stays_eager_and_reports_the_reason(model: EnergyModel) -> None:
    none = torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")})
    with torch._inductor.utils.fresh_cache(), none:
        reason = compile_core(model, rows=2)
    assert reason.startswith("eager: ") and "compiler" in reason and "apt install g++" in reason
    model.gradient(torch.randn(2, model.tokens, WIDTH), torch.randn(2, HORIZON, JOINTS))


@pytest.mark.parametrize(
    ("training", "cameras", "worth"),
    [
        ({"time_limit_s": 480}, 2, False),
        ({"time_limit_s": 900}, 2, True),
        ({"time_limit_s": 480}, 0, True),
        ({"max_steps": 20}, 0, False),
        ({"max_steps": 20, "compile": "always"}, 0, True),
        ({"compile": "never"}, 0, False),
    ],
)
def test_it_is_compiled_if_that_saves_time(training: dict[str, object], cameras: int, worth: bool) -> None:
    assert worth_compiling(TrainingRecipe.model_validate(training), cameras) is worth


@pytest.mark.slow
def test_compiled_plans_are_the_eager_ones_and_nothing_is_compiled_later(model: EnergyModel) -> None:
    model = model.requires_grad_(False)
    observations = Observations({}, {"position": torch.ones(1, JOINTS)}, {})
    x = torch.randn(3, HORIZON, JOINTS)

    def plan(rows: int = 1) -> torch.Tensor:
        with torch.no_grad():
            return GradientDescent((1.0, 0.2)).run(model, model.encode(observations).expand(rows, -1, -1), x[:rows]).x

    eager = plan(), plan(rows=3)
    try:
        assert compile_plans(plan, model).startswith("compiled: a plan took ")
        torch._dynamo.utils.counters.clear()
        torch.testing.assert_close((plan(), plan(rows=3)), eager, rtol=1e-4, atol=1e-5)
        assert not torch._dynamo.utils.counters["stats"]["unique_graphs"]
    finally:
        torch.compiler.set_stance("default")
