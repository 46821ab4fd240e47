"""Episodes as training samples: histories of observations and chunks of actions; numpy only.

N rows of all episodes together, E episodes, n history, H chunk horizon, J joints, B batch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.step import BenchSpec, Outcome
from ebt_data.windows.pictures import CameraImages, ImageArray, ImageStorage, open_images


@dataclass(frozen=True)
class Statistics:
    """Statistics of each dimension over all rows, `[J]` float32 each."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    min: NDArray[np.float32]
    max: NDArray[np.float32]


class Windows:
    """Every row of the episodes is one sample: the observations up to it and the actions from it on.

    Arrays: `qpos`, `qvel`, `effort`, `actions` (as sent) [N, J] float32, `images[camera]` [N, H, W, 3] uint8,
    `privileged[name]` [N, ...] float32, `episode` and `row` [N] int64 (index into `paths`, and the row in that episode),
    `starts` [E + 1] int64: episode e has the rows `starts[e]:starts[e + 1]`. `bounds` [S + 1] int64 is the same for
    segments, split at pauses, and `segment` [N] int64 is each row's segment.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        history: int,
        horizon: int,
        *,
        image_size: tuple[int, int] | None = None,
        pictures: ImageStorage = "memory",
        cameras: Sequence[str] | None = None,
        outcomes: frozenset[Outcome] = frozenset({Outcome.SUCCESS}),
        incomplete: bool = False,
    ) -> None:
        """Read the episodes with one of these `outcomes`, trimmed as labelled; truncated ones too if `incomplete`.

        `image_size` is (height, width) in pixels to resize images to, `pictures` their storage (see `pictures.py`);
        `cameras` defaults to all.

        Raises:
            DataError: no episode matches, one cannot be read, or two are of different benches.
        """
        self.history, self.horizon = history, horizon
        self.paths: list[Path] = []
        self.skipped: list[Path] = []
        """Episodes not read: because of their outcome, because they are truncated, or because a label excludes them."""
        parts: list[dict[str, NDArray[Any]]] = []
        lengths: list[int] = []  # of segments
        parts_of: dict[str, list[CameraImages]] = {}
        for path in paths:
            with Episode(path) as episode:
                if not episode.is_eligible(outcomes, incomplete=incomplete):
                    self.skipped.append(path)
                    continue
                if not parts:
                    self.spec = episode.spec
                    self.cameras = tuple(episode.spec.cameras if cameras is None else cameras)
                check_compatible(self.spec, episode, "the previous episodes")
                parts.append(_columns(episode))
                lengths += [segment.stop - segment.start for segment in episode.segments]
                for camera in self.cameras:
                    parts_of.setdefault(camera, []).append(open_images(pictures, episode, camera, image_size))
                self.paths.append(path)
        if not parts:
            expected = " or ".join(sorted(outcome.value for outcome in outcomes))
            raise DataError(f"none of {len(paths)} episodes is complete and ended in {expected}")
        self._join(parts)
        self.bounds = np.cumsum([0, *lengths])
        self.segment = np.repeat(np.arange(len(lengths)), lengths)
        self.images = {camera: ImageArray(parts) for camera, parts in parts_of.items()}

    def _join(self, parts: list[dict[str, NDArray[Any]]]) -> None:
        lengths = [len(part["qpos"]) for part in parts]
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.episode = np.repeat(np.arange(len(parts)), lengths).astype(np.int64)
        shared = sorted(set.intersection(*(set(part) for part in parts)))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in shared}
        self.qpos, self.qvel, self.effort = joined["qpos"], joined["qvel"], joined["effort"]
        self.actions, self.row = joined["action"], joined["row"]
        self.privileged = {
            name.removeprefix("privileged/"): values
            for name, values in joined.items()
            if name.startswith("privileged/")
        }

    def __len__(self) -> int:
        """Samples: one for every row."""
        return int(self.starts[-1])

    def batch(self, indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Samples by row index, `indices` [B].

        `position`, `velocity`, `effort` [B, n, J], `images/<camera>` [B, n, H, W, 3] and `privileged/<name>` [B, n, ...]
        end at the row; before an episode's start its first row is repeated. `actions` [B, H, J] begin at the row; after
        an episode's end its last action is repeated and `mask` [B, H] is False. A pause counts as an
        end and a start. `row`, `episode` [B] identify the samples.
        """
        indices = np.asarray(indices, np.int64)
        segment = self.segment[indices]
        first, last = self.bounds[segment][:, None], self.bounds[segment + 1][:, None] - 1
        past = np.maximum(indices[:, None] + np.arange(1 - self.history, 1), first)
        ahead = indices[:, None] + np.arange(self.horizon)
        batch = {"position": self.qpos[past], "velocity": self.qvel[past], "effort": self.effort[past]}
        batch |= {f"images/{camera}": images[past] for camera, images in self.images.items()}
        batch |= {f"privileged/{name}": values[past] for name, values in self.privileged.items()}
        batch |= {"actions": self.actions[np.minimum(ahead, last)], "mask": ahead <= last}
        return batch | {"row": self.row[indices], "episode": self.episode[indices]}

    def statistics(self) -> dict[str, Statistics]:
        """Statistics of `position`, `velocity`, `effort` and `action` over all rows."""
        named = {"position": self.qpos, "velocity": self.qvel, "effort": self.effort, "action": self.actions}
        return {name: _statistics(values) for name, values in named.items()}


def _columns(episode: Episode) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "qpos": episode.qpos,
        "qvel": episode.qvel,
        "effort": episode.effort,
        "action": episode.action,
        "row": np.arange(len(episode)),
    }
    columns |= {f"privileged/{name}": values for name, values in episode.privileged.items()}
    return {name: values[episode.training_rows] for name, values in columns.items()}


def split(paths: Sequence[Path], fraction: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation episodes, about `fraction` of them for validation, each part in the order given.

    The assignment depends only on the file name and the seed, so that it does not change when episodes are added. With
    two or more episodes each part has at least one, unless `fraction` is 0.
    """
    draws = [_draw(path.name, seed) for path in paths]
    validation = {index for index, draw in enumerate(draws) if draw < fraction}
    if fraction > 0 and len(paths) > 1:
        if not validation:
            validation = {int(np.argmin(draws))}
        elif len(validation) == len(paths):
            validation.remove(int(np.argmax(draws)))
    train = [path for index, path in enumerate(paths) if index not in validation]
    return train, [path for index, path in enumerate(paths) if index in validation]


def _draw(name: str, seed: int) -> float:
    """A number in [0, 1), uniform over names."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _statistics(values: NDArray[np.float32]) -> Statistics:
    wide = values.astype(np.float64)
    moments = (wide.mean(axis=0), wide.std(axis=0), wide.min(axis=0), wide.max(axis=0))
    return Statistics(*(moment.astype(np.float32) for moment in moments))


def check_compatible(spec: BenchSpec, episode: Episode, what: str) -> None:
    """Check that an episode can be used for training together with those of `spec`, which `what` describes.

    Raises:
        DataError: its joints, cameras or rate differ.
    """
    other = episode.spec
    pairs = {
        "joints": (spec.joints, other.joints),
        "cameras": (dict(spec.cameras), dict(other.cameras)),
        "rate_hz": (spec.rate_hz, other.rate_hz),
    }
    for name, (expected, actual) in pairs.items():
        if expected != actual:
            message = f"{episode.path} has other {name} than {what}: {actual}, not {expected}"
            raise DataError(message, f"keep them in separate folders; ebt inspect {episode.path.parent}")
