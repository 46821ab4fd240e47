"""Baselines that learn no distribution: the mean, and the mean refined once (MIP)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objective_recipe import IterativeRegressionRecipe, RegressionRecipe
from ebt_recipes.objectives.objective import Loss, forecast_loss, pair_up, weigh, with_forecast
from ebt_recipes.objectives.sampler import Samples


class Regression:
    """The network's answer to a chunk of zeros is the chunk."""

    def __init__(self, recipe: RegressionRecipe) -> None:
        self.recipe = recipe

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_up(model, model.encode(batch.observations), batch, 1, generator)
        error = F.mse_loss(self._answer(model, pairs.context), pairs.target)
        return with_forecast("error", error, model, batch, pairs, self.recipe.forecast_weight)

    @torch.no_grad()
    def sample(
        self,
        model: FieldModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        return Samples.without_energy(self._answer(model, context), 1)

    @staticmethod
    def _answer(model: FieldModel, context: Tensor) -> Tensor:
        x = context.new_zeros(len(context), model.horizon, model.joints)
        return model.field(context, x, x.new_zeros(len(x)))


class IterativeRegression:
    """MIP (arXiv 2512.01809), table form: a first guess from nothing, a second from the guess as if it were noisy data.

    loss = |f(0, 0) - a|^2 / t^2 + |f(a + (1 - t) e, t) - a|^2 / (1 - t)^2 with the divisors inside the squares; they are
    scaled here so that the first is 1, which Adam does not notice.
    """

    def __init__(self, recipe: IterativeRegressionRecipe) -> None:
        self.recipe = recipe

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe, late = self.recipe, self.recipe.second_time
        pairs = pair_up(model, model.encode(batch.observations), batch, 1, generator)
        noisy = pairs.target + (1 - late) * pairs.noise
        first = model.field(pairs.context, torch.zeros_like(noisy), noisy.new_zeros(len(noisy)))
        second = model.field(pairs.context, noisy, noisy.new_full((len(noisy),), late))
        parts = {
            "first": F.mse_loss(first, pairs.target),
            "second": F.mse_loss(second, pairs.target),
            "forecast": forecast_loss(model, pairs.context, batch, pairs.target),
        }
        ratio = (late / (1 - late)) ** 2
        return weigh(parts, {"first": 1.0, "second": ratio, "forecast": recipe.forecast_weight})

    @torch.no_grad()
    def sample(
        self,
        model: FieldModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        late = self.recipe.second_time
        x = context.new_zeros(len(context), model.horizon, model.joints)
        guess = model.field(context, x, x.new_zeros(len(x)))
        return Samples.without_energy(model.field(context, guess, x.new_full((len(x),), late)), 2)
