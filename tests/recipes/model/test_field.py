"""A field has a vector for every tick, and depends on the time only if the recipe's objective has one."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.field import FieldModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from tests.recipes.model.conftest import HORIZON, JOINTS, make_recipe


@pytest.mark.parametrize("timed", [True, False])
def test_a_field_has_a_vector_for_every_tick_and_its_time_counts_only_if_it_is_timed(timed: bool) -> None:
    torch.manual_seed(0)
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    model = FieldModel(make_recipe(), (), JOINTS, Statistics({"position": unit}, unit), timed)
    context, x = torch.randn(2, model.tokens, 16), torch.randn(2, HORIZON, JOINTS)
    early, late = (model.field(context, x, torch.full((2,), time)) for time in (0.1, 0.9))
    assert early.shape == (2, HORIZON, JOINTS)
    assert torch.equal(early, late) is not timed
