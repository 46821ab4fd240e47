"""Episodes as training batches, made a little ahead of time in a thread.

Shapes: N rows of all episodes together, B batch, H ticks of a chunk, J joints, S pixels a side.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebt_data.errors import ConfigError
from ebt_data.windows.windows import Windows
from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.encoder import augment, blur_past
from ebt_recipes.model.normalization import Spread, Statistics
from ebt_recipes.recipe import PAST, Recipe

Rows = NDArray[np.int64]
FLOORS = {"position": 0.02, "velocity": 0.05, "effort": 0.02}
"""Least spread an input is divided by: rad, rad/s, A or fraction of stall. An idle joint's noise stays small."""


class Dataset:
    """Batches by row. Reads privileged state only where the recipe names it."""

    def __init__(self, recipe: Recipe, paths: Sequence[Path], middle: NDArray[np.float32] | None = None) -> None:
        """Read all of these episodes, pictures shrunk; `middle` [J] overrides the grippers' mid-range.

        Raises:
            ConfigError: the recipe names a camera or privileged pose that the episodes lack.
            DataError: an episode cannot be read, or none ended in success.
        """
        self.recipe = recipe
        side = recipe.encoder.image_size
        wanted = recipe.observe.cameras
        kept = recipe.training.pictures
        self.windows = Windows(paths, 1, recipe.act.horizon, image_size=(side, side), pictures=kept, cameras=wanted)
        self._check_privileged()
        self.cameras = self.windows.cameras
        actions = self.windows.actions
        self.middle = (actions.min(axis=0) + actions.max(axis=0)) / 2 if middle is None else middle
        grippers = [index for index, name in enumerate(self.windows.spec.joints) if "gripper" in name]
        self.events = next_events(actions[:, grippers], self.middle[grippers], self.windows.bounds)

    def __len__(self) -> int:
        return len(self.windows)

    def _check_privileged(self) -> None:
        missing = [name for name in self.recipe.observe.privileged if name not in self.windows.privileged]
        if missing:
            known = ", ".join(self.windows.privileged) or "none"
            raise ConfigError(f"The episodes have no privileged {', '.join(missing)}; they have {known}")

    def batch(self, rows: Rows) -> Batch:
        """These rows as tensors."""
        found = self.windows.batch(rows)
        observe = self.recipe.observe
        observations = Observations(
            images={name: torch.from_numpy(found[f"images/{name}"][:, -1]) for name in self.cameras},
            joints={name: torch.from_numpy(found[name][:, -1]) for name in observe.joints} | self._past(rows),
            privileged={name: torch.from_numpy(found[f"privileged/{name}"][:, -1]) for name in observe.privileged},
        )
        return Batch(
            observations=observations,
            chunk=torch.from_numpy(found["actions"]),
            mask=torch.from_numpy(found["mask"].astype(np.float32)),
            event=torch.from_numpy(self.windows.qpos[self.events[rows]]),
        )

    def rows_of(self, step: int) -> Rows:
        """The rows of one update: epochs of a shuffle that only the seed decides, so that a resumed run sees the same."""
        size = min(self.recipe.training.batch, len(self))
        epoch, place = divmod(step, len(self) // size)
        order = np.random.default_rng((self.recipe.training.seed, epoch)).permutation(len(self))
        return order[place * size : (place + 1) * size]

    def training_batch(self, step: int) -> Batch:
        """The augmented batch of one update; depends on the seed and the step alone."""
        batch = self.batch(self.rows_of(step))
        generator = seeded(self.recipe.training.seed, step, stream=1)
        seen = blur_past(augment(batch.observations, self.recipe.encoder, generator), self.recipe.observe, generator)
        return Batch(seen, batch.chunk, batch.mask, batch.event)

    def even_rows(self, count: int) -> Rows:
        """At most `count` rows, evenly spread over the episodes."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64))

    def statistics(self) -> Statistics:
        """What the network's inputs and chunks are normalised by."""
        windows, act = self.windows, self.recipe.act
        readings = {"position": windows.qpos, "velocity": windows.qvel, "effort": windows.effort}
        inputs = {name: Spread.of(values, FLOORS[name]) for name, values in readings.items()}
        for name in self.recipe.observe.privileged:
            inputs[name] = Spread.of(windows.privileged[name], floor=0.01)
        rows = self.even_rows(20_000)
        for name, values in self._past(rows).items():
            inputs[name] = Spread.of(values.numpy(), act.floor_rad)
        found = windows.batch(rows) if not windows.images else self._chunks(rows)
        chunks = found["actions"] - (windows.qpos[rows][:, None] if act.relative else 0)
        return Statistics(inputs, Spread.of(chunks.reshape(-1, chunks.shape[-1]), act.floor_rad))

    def _past(self, rows: Rows) -> dict[str, Tensor]:
        """`past` [B, P * J] by name where the recipe asks for it: before an episode's start or a pause's end its first pose."""
        windows, ticks = self.windows, self.recipe.observe.past_actions
        if not ticks:
            return {}
        first = windows.bounds[windows.stretch[rows]][:, None]
        before = rows[:, None] + np.arange(-ticks, 0)
        asked = np.where((before >= first)[..., None], windows.actions[np.maximum(before, first)], windows.qpos[first])
        return {PAST: torch.from_numpy((asked - windows.qpos[rows][:, None]).reshape(len(rows), -1))}

    def _chunks(self, rows: Rows) -> dict[str, NDArray[np.float32]]:
        """Only the actions of `Windows.batch`, without copying thousands of pictures."""
        last = self.windows.bounds[self.windows.stretch[rows] + 1][:, None] - 1
        ahead = rows[:, None] + np.arange(self.recipe.act.horizon)
        return {"actions": self.windows.actions[np.minimum(ahead, last)]}


def next_events(grippers: NDArray[np.float32], middle: NDArray[np.float32], bounds: Rows) -> Rows:
    """[N] for each row the next later row at which a gripper's command crosses its mid-range, or its stretch's last.

    `grippers` [N, G] rad, `middle` [G] rad, `bounds` [S + 1] first rows of the stretches.
    """
    events = np.empty(len(grippers), np.int64)
    open_now = grippers > middle
    for first, after in pairwise(bounds):
        crossed = (open_now[first + 1 : after] != open_now[first : after - 1]).any(axis=1)
        marks = np.append(np.flatnonzero(crossed) + first + 1, after - 1)
        rows = np.arange(first, after)
        events[first:after] = marks[np.minimum(np.searchsorted(marks, rows, side="right"), len(marks) - 1)]
    return events


def seeded(seed: int, step: int, stream: int) -> torch.Generator:
    """A generator for one update, so that nothing but the step has to be kept for an exact resume."""
    state = np.random.SeedSequence((seed, step, stream)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


class Prefetch:
    """Makes the next batches in a thread while this one is trained on, and measures what waiting for it costs."""

    def __init__(self, make: Callable[[int], Batch], first: int, ahead: int = 2) -> None:
        self._make = make
        self._next = first
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._waiting: deque[Future[Batch]] = deque()
        for _ in range(ahead):
            self._order()
        self.waited_s = 0.0

    def take(self) -> Batch:
        """The next batch, in order; whatever failed in the thread is raised here."""
        begun_s = time.perf_counter()
        batch = self._waiting.popleft().result()
        self._order()
        self.waited_s += time.perf_counter() - begun_s
        return batch

    def _order(self) -> None:
        self._waiting.append(self._pool.submit(self._make, self._next))
        self._next += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def action_error(found: Tensor, batch: Batch, ticks: int) -> float:
    """Mean distance in rad of planned goals [B, H, J] to the demonstrated ones over the first `ticks`, padding left out."""
    mask = batch.mask[:, :ticks, None]
    off = (found[:, :ticks] - batch.chunk[:, :ticks]).abs() * mask
    return float(off.sum() / (mask.sum() * off.shape[-1]).clamp(min=1))
