"""Baselines that model no distribution: regression to the mean, and the mean refined once (MIP)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.field import FieldModel
from ebt_recipes.objective_recipe import IterativeRegressionRecipe, RegressionRecipe
from ebt_recipes.objectives.objective import Loss, forecast_loss, loss_with_forecast, pair_with_noise, weighted_loss
from ebt_recipes.objectives.sampler import Samples


class Regression:
    """Predicts the chunk from an input of zeros."""

    def __init__(self, recipe: RegressionRecipe) -> None:
        self.recipe = recipe

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, 1, generator)
        error = F.mse_loss(self._predict(model, pairs.context), pairs.target)
        return loss_with_forecast("error", error, model, batch, pairs, self.recipe.forecast_weight)

    @torch.no_grad()
    def sample(
        self,
        model: FieldModel,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        return Samples.without_energy(self._predict(model, context), 1)

    @staticmethod
    def _predict(model: FieldModel, context: Tensor) -> Tensor:
        x = context.new_zeros(len(context), model.horizon, model.joints)
        return model.field(context, x, x.new_zeros(len(x)))


class IterativeRegression:
    """MIP (arXiv 2512.01809), table form: first predict from zeros, then from that prediction as if it were noisy data.

    loss = |f(0, 0) - a|^2 / t^2 + |f(a + (1 - t) e, t) - a|^2 / (1 - t)^2 with the divisors inside the squares; scaled
    here so that the first is 1, which does not affect Adam.
    """

    def __init__(self, recipe: IterativeRegressionRecipe) -> None:
        self.recipe = recipe

    def __call__(self, model: FieldModel, batch: Batch, generator: torch.Generator) -> Loss:
        recipe, late = self.recipe, self.recipe.second_time
        pairs = pair_with_noise(model, model.encode(batch.observations), batch, 1, generator)
        noisy = pairs.target + (1 - late) * pairs.noise
        first = model.field(pairs.context, torch.zeros_like(noisy), noisy.new_zeros(len(noisy)))
        second = model.field(pairs.context, noisy, noisy.new_full((len(noisy),), late))
        parts = {
            "first": F.mse_loss(first, pairs.target),
            "second": F.mse_loss(second, pairs.target),
            "forecast": forecast_loss(model, pairs.context, batch, pairs.target),
        }
        ratio = (late / (1 - late)) ** 2
        return weighted_loss(parts, {"first": 1.0, "second": ratio, "forecast": recipe.forecast_weight})

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
        first = model.field(context, x, x.new_zeros(len(x)))
        return Samples.without_energy(model.field(context, first, x.new_full((len(x),), late)), 2)
