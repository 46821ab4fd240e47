"""Training batches for the product's policies from a toy's demonstrations, without files.

Shapes: N rows of all demonstrations together, B batch, H ticks of a chunk, J joints, S numbers of state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.worlds.toys.toy import Demonstration, Toy, View
from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.encoder import add_past_noise
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import PAST, Recipe, parse_recipe

STATE = "state"
DEMONSTRATIONS, DEMONSTRATION_SEED = 200, 0


def toy_recipe(toy: type[Toy], objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
    """The recipe all objectives share on a toy: encoder, size, chunks and optimiser; `sections` override."""
    shared: dict[str, Any] = {
        "name": toy.name,
        "objective": {"forecast_weight": 0.0, **objective},
        "model": {"width": 64, "layers": 2},
        "encoder": {"zoom_rad": 0.0, "zoom_state": 0.03},
        "observe": {"cameras": (), "privileged": (STATE,)},
        "act": {"horizon": 8, "execute": 2, "floor_rad": 0.005},
        "training": {"batch": 64, "shards": 1, "warmup_steps": 100, "ema": 0.995},
    }
    for name, values in sections.items():
        shared[name] = {**shared.get(name, {}), **values}
    return parse_recipe(shared, toy.name)


class ToyTrainingData:
    """Every row of the demonstrations with the chunk that follows it."""

    def __init__(self, recipe: Recipe, runs: Sequence[Demonstration]) -> None:
        self.recipe = recipe
        ends = np.cumsum([len(run.action) for run in runs])
        self.position, self.state, self.action = (
            np.concatenate([getattr(run, name) for run in runs]) for name in ("position", "state", "action")
        )
        lengths = [len(run.action) for run in runs]
        self.first, self.last = np.repeat(ends - lengths, lengths), np.repeat(ends - 1, lengths)

    def __len__(self) -> int:
        return len(self.action)

    def chunks(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """[B, H, J] absolute goals; the last is repeated past a demonstration's end."""
        ahead = np.minimum(rows[:, None] + np.arange(self.recipe.act.horizon), self.last[rows][:, None])
        return self.action[ahead]

    def past(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """[B, P, J] goals before these rows; before a demonstration's start its first position."""
        before = rows[:, None] + np.arange(-self.recipe.observe.past_actions, 0)
        first = self.first[rows][:, None]
        known = (before >= first)[..., None]
        return np.where(known, self.action[np.maximum(before, first)], self.position[first])

    def training_batch(self, step: int) -> Batch:
        """The batch of one update; depends only on the seed and the step."""
        draw = np.random.default_rng((self.recipe.training.seed, step))
        rows = draw.integers(len(self), size=self.recipe.training.batch)
        inputs = observations(View(self.position[rows], self.state[rows]), self.past(rows))
        noise = torch.Generator().manual_seed(int(draw.integers(2**62)))
        inputs = add_past_noise(inputs, self.recipe.observe, noise)
        chunk = torch.from_numpy(self.chunks(rows))
        return Batch(inputs, chunk, torch.ones(chunk.shape[:2]), chunk[:, -1])

    def sample_observations(self, count: int) -> Observations:
        rows = np.random.default_rng(self.recipe.training.seed).integers(len(self), size=count)
        return observations(View(self.position[rows], self.state[rows]), self.past(rows))

    def statistics(self) -> Statistics:
        chunks = self.chunks(np.arange(len(self))) - self.position[:, None]
        floor = self.recipe.act.floor_rad
        inputs = {"position": MeanStd.of(self.position, floor), STATE: MeanStd.of(self.state, floor)}
        past = self.past(np.arange(len(self))) - self.position[:, None]
        inputs[PAST] = MeanStd.of(past.reshape(len(self), -1), floor)
        return Statistics(inputs, MeanStd.of(chunks.reshape(-1, chunks.shape[-1]), floor))


def observations(view: View, past: NDArray[np.float32] | None = None) -> Observations:
    """A policy's observations as tensors; `past` [N, P, J] are the previous goals."""
    joints = {"position": torch.from_numpy(view.position)}
    if past is not None and past.shape[1]:
        joints[PAST] = torch.from_numpy((past - view.position[:, None]).reshape(len(past), -1))
    return Observations({}, joints, {STATE: torch.from_numpy(view.state)})
