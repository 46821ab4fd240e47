"""A live observation becomes the same network input as in training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebt_data.errors import ConfigError
from ebt_data.reading.episode import Episode
from ebt_data.step import Frame, Observation
from ebt_recipes.model.batch import from_bench
from ebt_recipes.recipe import parse_recipe
from ebt_recipes.training.dataset import Dataset


def observe(image: np.ndarray, position: np.ndarray, **privileged: np.ndarray) -> Observation:
    frame = Frame(image, 0, 0.0, "global_time", 0.0, 0.0, False)
    zero = np.zeros_like(position)
    return Observation(0.0, 0.0, position, zero, zero, {"top": frame}, privileged)


def test_a_live_observation_equals_that_of_training(record_reach: Any) -> None:
    paths: list[Path] = record_reach(1)
    recipe = parse_recipe({"name": "x", "encoder": {"image_size": 16}}, "test")
    trained = Dataset(recipe, paths).batch(np.array([5])).observations
    with Episode(paths[0]) as episode:
        live = from_bench(observe(episode.image("top", 5), episode.qpos[5]), ("top",), 16, ())
    assert (live.images["top"] == trained.images["top"]).all()
    assert (live.joints["position"] == trained.joints["position"]).all()


def test_privileged_state_is_left_out_unless_named() -> None:
    observation = observe(np.zeros((16, 16, 3), np.uint8), np.zeros(2, np.float32), cube=np.ones(7, np.float32))
    assert from_bench(observation, ("top",), 16, ()).privileged == {}
    assert from_bench(observation, ("top",), 16, ("cube",)).privileged["cube"].shape == (1, 7)


def test_inputs_that_the_bench_lacks_are_reported() -> None:
    observation = observe(np.zeros((16, 16, 3), np.uint8), np.zeros(2, np.float32))
    with pytest.raises(ConfigError, match="camera wrist, privileged cube"):
        from_bench(observation, ("top", "wrist"), 16, ("cube",))
