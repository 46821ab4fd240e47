"""Rows of episodes as training batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ebt_data.errors import ConfigError
from ebt_recipes.model.batch import Batch
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.training.dataset import Dataset, Prefetch, action_error, next_events

Write = Callable[..., list[Path]]


def make_recipe(**sections: object) -> Recipe:
    small = {"encoder": {"image_size": 16}, "act": {"horizon": 4}, "training": {"batch": 8}}
    return parse_recipe({"name": "small", **small, **sections}, "test")


def test_an_event_is_the_next_crossing_of_the_grippers_mid_range() -> None:
    gripper = np.array([0.8, 0.8, 0.8, 0.0, 0.0, 0.8, 0.8, 0.8, 0.8], np.float32)[:, None]
    events = next_events(gripper, np.array([0.4], np.float32), np.array([0, 7, 9]))
    assert events.tolist() == [3, 3, 3, 5, 5, 6, 6, 8, 8]


def test_a_batch_holds_the_row_and_the_following_actions(record_reach: Write) -> None:
    data = Dataset(make_recipe(), record_reach(2, rows=12))
    batch = data.batch(np.array([3, 11]))
    assert batch.observations.images["top"].shape == (2, 16, 16, 3)
    assert torch.equal(batch.chunk[0], torch.from_numpy(data.windows.actions[3:7]))
    assert torch.equal(batch.chunk[1], batch.chunk[1, :1].expand(4, -1))
    assert batch.mask.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert torch.equal(batch.event[0], torch.from_numpy(data.windows.qpos[data.events[3]]))


def test_an_epoch_has_every_row_once_in_an_order_set_by_the_seed(record_reach: Write) -> None:
    data = Dataset(make_recipe(), record_reach(2, rows=12))
    epoch = np.concatenate([data.rows_of(step) for step in range(3)])
    assert sorted(epoch) == list(range(24))
    assert not np.array_equal(epoch[:8], data.rows_of(3))
    assert np.array_equal(data.rows_of(5), data.rows_of(5))


def test_normalised_chunks_are_about_one(record_reach: Write) -> None:
    data = Dataset(make_recipe(), record_reach(3))
    spread = data.statistics().chunk
    batch = data.batch(np.arange(len(data)))
    x = (batch.chunk - batch.observations.joints["position"][:, None]).numpy()
    x = (x - spread.mean) / spread.std
    np.testing.assert_allclose(x.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(x.std(axis=(0, 1)), 1, atol=0.01)


def test_privileged_state_is_only_read_when_the_recipe_names_it(record_reach: Write) -> None:
    paths = record_reach(1)
    plain, privileged = Dataset(make_recipe(), paths), Dataset(make_recipe(observe={"privileged": ["cube"]}), paths)
    assert plain.batch(np.array([0])).observations.privileged == {}
    assert "cube" not in plain.statistics().inputs
    assert privileged.batch(np.array([0])).observations.privileged["cube"].shape == (1, 7)


def test_a_privileged_pose_that_was_not_recorded_is_rejected(record_reach: Write) -> None:
    with pytest.raises(ConfigError, match="no privileged goal; they have cube"):
        Dataset(make_recipe(observe={"privileged": ["goal"]}), record_reach(1))


def test_batches_arrive_in_order_and_errors_are_raised(record_reach: Write) -> None:
    data = Dataset(make_recipe(), record_reach(1))

    def make(step: int) -> Batch:
        if step == 4:
            raise RuntimeError("disk gone")
        return data.training_batch(step)

    with Prefetch(make, first=2) as batches:
        assert torch.equal(batches.take().chunk, data.training_batch(2).chunk)
        assert torch.equal(batches.take().chunk, data.training_batch(3).chunk)
        with pytest.raises(RuntimeError, match="disk gone"):
            batches.take()


def test_padding_does_not_count_as_error(record_reach: Write) -> None:
    batch = Dataset(make_recipe(), record_reach(1, rows=12)).batch(np.array([11]))
    planned = batch.chunk.clone()
    planned[:, 0] += 0.25
    planned[:, 1:] += 100
    assert action_error(planned, batch, ticks=4) == pytest.approx(0.25, rel=1e-3)
