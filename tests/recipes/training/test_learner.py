"""An update from parts of a batch, differentiated in parallel."""

import numpy as np
import pytest
import torch

from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import parse_recipe
from ebt_recipes.training.dataset import seeded
from ebt_recipes.training.learner import FIRST_SHARD_STREAM, Learner

JOINTS, HORIZON = 2, 3


def make(shards: int, *cameras: str) -> Learner:
    sections = {"model": {"width": 16, "layers": 1, "heads": 2}, "act": {"horizon": HORIZON}}
    sections["encoder"] = {"image_size": 16, "channels": (4, 4, 4)}
    recipe = parse_recipe({"name": "tiny", **sections, "training": {"shards": shards, "clip": 1e9}}, "test")
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    chunk = MeanStd(np.zeros((HORIZON, JOINTS), np.float32), np.ones((HORIZON, JOINTS), np.float32))
    torch.manual_seed(0)
    return Learner(recipe, EnergyModel(recipe, cameras, JOINTS, Statistics({"position": unit}, chunk)))


def batch_of(rows: int, *cameras: str) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.randint(0, 256, (rows, 16, 16, 3), generator=generator) for name in cameras}
    observations = Observations(
        {name: image.to(torch.uint8) for name, image in images.items()},
        {"position": torch.randn(rows, JOINTS, generator=generator)},
        {},
    )
    chunk = torch.randn(rows, HORIZON, JOINTS, generator=generator)
    return Batch(observations, chunk, torch.ones(rows, HORIZON), torch.zeros(rows, JOINTS))


@pytest.mark.parametrize(("rows", "sizes"), [(8, [4, 4]), (7, [4, 3]), (1, [1])])
def test_a_batch_splits_into_nearly_equal_parts_in_order(rows: int, sizes: list[int]) -> None:
    batch = batch_of(rows)
    parts = batch.split(2)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat([part.chunk for part in parts]), batch.chunk)
    assert torch.equal(torch.cat([part.observations.joints["position"] for part in parts]), position_of(batch))


def position_of(batch: Batch) -> torch.Tensor:
    return batch.observations.joints["position"]


def test_an_update_uses_the_mean_gradient_of_its_parts_weighted_by_rows() -> None:
    learner, batch = make(shards=2), batch_of(7)
    expected = [torch.zeros_like(weight) for weight in learner.model.parameters()]
    for index, shard in enumerate(batch.split(2)):
        loss = learner.objective(learner.model, shard, seeded(0, 0, FIRST_SHARD_STREAM + index)).total
        gradients = torch.autograd.grad(loss, list(learner.model.parameters()), materialize_grads=True)
        for total, gradient in zip(expected, gradients, strict=True):
            total += gradient * len(shard) / 7
    learner.update(batch, 0.0)
    for weight, gradient in zip(learner.model.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient)


def test_the_same_updates_whichever_part_is_ready_first() -> None:
    one, other = make(shards=3), make(shards=3)
    for learner in (one, other):
        for step in range(5):
            learner.update(batch_of(12), step / 5)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


def test_the_fused_update_is_the_plain_one_for_channels_last_weights_too() -> None:
    """Against plain Adam, which unlike the fused one does not depend on the memory format of gradients."""
    fused, plain = make(2, "top"), make(2, "top")
    plain.optimiser = torch.optim.AdamW(
        plain.model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-6, foreach=False
    )
    for learner in (fused, plain):
        for step in range(3):
            learner.update(batch_of(8, "top"), step / 3)
    for one, other in zip(fused.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
