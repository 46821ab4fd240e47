"""The inputs of a policy as tensors: one row per observation, in training and on the bench alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebt_data.errors import ConfigError
from ebt_data.step import Image, Observation
from ebt_data.windows.resize import resize_area
from ebt_recipes.recipe import PAST


@dataclass(frozen=True)
class Observations:
    """Shapes: B rows, J joints, S pixels a side."""

    images: Mapping[str, Tensor]
    """[B, S, S, 3] uint8 RGB."""
    joints: Mapping[str, Tensor]
    """[B, J] float32; `position` rad is always present, `velocity` rad/s and `effort` if the recipe names them. Also
    `past` [B, P * J] rad if it sets P ticks of past actions, oldest first, relative to the position."""
    privileged: Mapping[str, Tensor]
    """[B, 7] object poses; empty unless the recipe names some."""

    def rows(self, index: slice | NDArray[np.int64]) -> "Observations":
        """The rows of this index."""
        images, joints, privileged = (
            {name: values[index] for name, values in group.items()}
            for group in (self.images, self.joints, self.privileged)
        )
        return Observations(images, joints, privileged)


@dataclass(frozen=True)
class Batch:
    """Observations and the demonstrated actions that follow them."""

    observations: Observations
    chunk: Tensor
    """[B, H, J] rad, absolute; ticks past the episode's end repeat its last."""
    mask: Tensor
    """[B, H] 0 where the chunk is padding."""
    event: Tensor
    """[B, J] rad, the pose at the next gripper event, or at the episode's end."""

    def __len__(self) -> int:
        return len(self.chunk)

    def split(self, parts: int) -> "list[Batch]":
        """Split into `parts` batches whose sizes differ by at most one row; fewer if there are fewer rows."""
        size, longer = divmod(len(self), parts)
        ends = [size * (part + 1) + min(part + 1, longer) for part in range(parts)]
        pieces = [slice(begin, end) for begin, end in pairwise([0, *ends]) if end > begin]
        return [
            Batch(self.observations.rows(piece), self.chunk[piece], self.mask[piece], self.event[piece])
            for piece in pieces
        ]


def from_bench(
    observation: Observation,
    cameras: tuple[str, ...],
    size: int,
    privileged: tuple[str, ...],
    past: NDArray[np.float32] | None = None,
) -> Observations:
    """One live observation as a batch of one; `past` [P, J] rad are the requested actions before it, oldest first.

    Raises:
        ConfigError: a camera or a privileged pose that the policy needs is missing.
    """
    missing = [f"camera {name}" for name in cameras if name not in observation.frames]
    missing += [f"privileged {name}" for name in privileged if name not in observation.privileged]
    if missing:
        raise ConfigError(
            f"The policy needs {', '.join(missing)}, which this bench does not provide",
            hint="deploy on a bench that has them, or train a run without them",
        )

    def row(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float32))[None]

    def picture(image: Image) -> Tensor:
        return torch.from_numpy(resize_area(image, (size, size)).copy())[None]

    joints = {"position": observation.position, "velocity": observation.velocity, "effort": observation.effort}
    if past is not None:
        joints[PAST] = (past - observation.position).ravel()
    return Observations(
        images={name: picture(observation.frames[name].image) for name in cameras},
        joints={name: row(values) for name, values in joints.items()},
        privileged={name: row(observation.privileged[name]) for name in privileged},
    )
