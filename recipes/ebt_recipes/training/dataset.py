"""Episodes as training batches, prefetched in a thread.

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
from ebt_recipes.model.encoder import add_past_noise, augment
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import PAST, Recipe

Rows = NDArray[np.int64]
FLOORS = {"position": 0.02, "velocity": 0.05, "effort": 0.02}
"""Lower bounds of the inputs' standard deviations: rad, rad/s, A or fraction of stall, for idle joints."""


class Dataset:
    """Batches by row. Reads privileged state only if the recipe names it."""

    def __init__(self, recipe: Recipe, paths: Sequence[Path], mid_range: NDArray[np.float32] | None = None) -> None:
        """Read all of these episodes, with images resized; `mid_range` [J] overrides the mid-range of the actions.

        Raises:
            ConfigError: the recipe names a camera or privileged pose that the episodes lack.
            DataError: an episode cannot be read, or none ended in success.
        """
        self.recipe = recipe
        side = recipe.encoder.image_size
        cameras = recipe.observe.cameras
        keep = recipe.training.pictures
        self.windows = Windows(paths, 1, recipe.act.horizon, image_size=(side, side), pictures=keep, cameras=cameras)
        self._check_privileged()
        self.cameras = self.windows.cameras
        actions = self.windows.actions
        self.mid_range = (actions.min(axis=0) + actions.max(axis=0)) / 2 if mid_range is None else mid_range
        grippers = [index for index, name in enumerate(self.windows.spec.joints) if "gripper" in name]
        self.events = next_events(actions[:, grippers], self.mid_range[grippers], self.windows.bounds)

    def __len__(self) -> int:
        return len(self.windows)

    def _check_privileged(self) -> None:
        missing = [name for name in self.recipe.observe.privileged if name not in self.windows.privileged]
        if missing:
            known = ", ".join(self.windows.privileged) or "none"
            raise ConfigError(f"The episodes have no privileged {', '.join(missing)}; they have {known}")

    def batch(self, rows: Rows) -> Batch:
        """These rows as tensors."""
        windows = self.windows.batch(rows)
        observe = self.recipe.observe
        observations = Observations(
            images={name: torch.from_numpy(windows[f"images/{name}"][:, -1]) for name in self.cameras},
            joints={name: torch.from_numpy(windows[name][:, -1]) for name in observe.joints} | self._past(rows),
            privileged={name: torch.from_numpy(windows[f"privileged/{name}"][:, -1]) for name in observe.privileged},
        )
        return Batch(
            observations=observations,
            chunk=torch.from_numpy(windows["actions"]),
            mask=torch.from_numpy(windows["mask"].astype(np.float32)),
            event=torch.from_numpy(self.windows.qpos[self.events[rows]]),
        )

    def rows_of(self, step: int) -> Rows:
        """The rows of one update, from epochs shuffled by the seed alone, so that a resumed run uses the same rows."""
        size = min(self.recipe.training.batch, len(self))
        epoch, place = divmod(step, len(self) // size)
        order = np.random.default_rng((self.recipe.training.seed, epoch)).permutation(len(self))
        return order[place * size : (place + 1) * size]

    def training_batch(self, step: int) -> Batch:
        """The augmented batch of one update; depends on the seed and the step alone."""
        batch = self.batch(self.rows_of(step))
        generator = seeded(self.recipe.training.seed, step, stream=1)
        observations = augment(batch.observations, self.recipe.encoder, generator)
        observations = add_past_noise(observations, self.recipe.observe, generator)
        return Batch(observations, batch.chunk, batch.mask, batch.event)

    def evenly_spaced_rows(self, count: int) -> Rows:
        """At most `count` rows, evenly spaced over the episodes."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64))

    def statistics(self) -> Statistics:
        """Mean and standard deviation that normalise the network's inputs and chunks."""
        windows, act = self.windows, self.recipe.act
        readings = {"position": windows.qpos, "velocity": windows.qvel, "effort": windows.effort}
        inputs = {name: MeanStd.of(values, FLOORS[name]) for name, values in readings.items()}
        for name in self.recipe.observe.privileged:
            inputs[name] = MeanStd.of(windows.privileged[name], floor=0.01)
        rows = self.evenly_spaced_rows(20_000)
        for name, values in self._past(rows).items():
            inputs[name] = MeanStd.of(values.numpy(), act.floor_rad)
        batch = windows.batch(rows) if not windows.images else self._chunks(rows)
        chunks = batch["actions"] - (windows.qpos[rows][:, None] if act.relative else 0)
        return Statistics(inputs, MeanStd.of(chunks.reshape(-1, chunks.shape[-1]), act.floor_rad))

    def _past(self, rows: Rows) -> dict[str, Tensor]:
        """`past` [B, P * J] by name if the recipe uses it; before an episode or segment starts, its first pose."""
        windows, ticks = self.windows, self.recipe.observe.past_actions
        if not ticks:
            return {}
        first = windows.bounds[windows.segment[rows]][:, None]
        earlier = rows[:, None] + np.arange(-ticks, 0)
        past = np.where((earlier >= first)[..., None], windows.actions[np.maximum(earlier, first)], windows.qpos[first])
        return {PAST: torch.from_numpy((past - windows.qpos[rows][:, None]).reshape(len(rows), -1))}

    def _chunks(self, rows: Rows) -> dict[str, NDArray[np.float32]]:
        """Only the actions of `Windows.batch`, without copying thousands of images."""
        last = self.windows.bounds[self.windows.segment[rows] + 1][:, None] - 1
        ahead = rows[:, None] + np.arange(self.recipe.act.horizon)
        return {"actions": self.windows.actions[np.minimum(ahead, last)]}


def next_events(grippers: NDArray[np.float32], mid_range: NDArray[np.float32], bounds: Rows) -> Rows:
    """[N] for each row, the next row at which a gripper's command crosses its mid-range, or its segment's last row.

    `grippers` [N, G] rad, `mid_range` [G] rad, `bounds` [S + 1] first rows of the segments.
    """
    events = np.empty(len(grippers), np.int64)
    open_now = grippers > mid_range
    for first, after in pairwise(bounds):
        crossed = (open_now[first + 1 : after] != open_now[first : after - 1]).any(axis=1)
        marks = np.append(np.flatnonzero(crossed) + first + 1, after - 1)
        rows = np.arange(first, after)
        events[first:after] = marks[np.minimum(np.searchsorted(marks, rows, side="right"), len(marks) - 1)]
    return events


def seeded(seed: int, step: int, stream: int) -> torch.Generator:
    """A random generator for one update, so that an exact resume needs only the step."""
    state = np.random.SeedSequence((seed, step, stream)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


class Prefetch:
    """Prepares the next batches in a thread during an update, and measures the time spent waiting for them."""

    def __init__(self, make: Callable[[int], Batch], first: int, ahead: int = 2) -> None:
        self._make = make
        self._next = first
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._waiting: deque[Future[Batch]] = deque()
        for _ in range(ahead):
            self._submit()
        self.waited_s = 0.0

    def take(self) -> Batch:
        """The next batch, in order; an error of the thread is raised here."""
        start_s = time.perf_counter()
        batch = self._waiting.popleft().result()
        self._submit()
        self.waited_s += time.perf_counter() - start_s
        return batch

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(self._make, self._next))
        self._next += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def action_error(planned: Tensor, batch: Batch, ticks: int) -> float:
    """Mean absolute error in rad of planned goals [B, H, J] over the first `ticks` ticks, without padding."""
    mask = batch.mask[:, :ticks, None]
    error = (planned[:, :ticks] - batch.chunk[:, :ticks]).abs() * mask
    return float(error.sum() / (mask.sum() * error.shape[-1]).clamp(min=1))
