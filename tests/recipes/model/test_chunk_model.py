"""Normalised chunks, relative to the pose or absolute."""

import pytest
import torch

from tests.recipes.model.conftest import HORIZON, JOINTS, make_model, make_recipe


@pytest.mark.parametrize("relative", [True, False])
def test_denormalise_inverts_normalise(relative: bool) -> None:
    model = make_model(make_recipe(act={"horizon": HORIZON, "relative": relative}))
    chunk, pose = torch.randn(2, HORIZON, JOINTS), torch.randn(2, JOINTS)
    torch.testing.assert_close(model.denormalise(model.normalise(chunk, pose), pose), chunk)


def test_a_relative_chunk_does_not_depend_on_the_pose() -> None:
    model = make_model(make_recipe())
    chunk, pose = torch.randn(2, HORIZON, JOINTS), torch.randn(2, JOINTS)
    torch.testing.assert_close(model.normalise(chunk + 0.7, pose + 0.7), model.normalise(chunk, pose))
