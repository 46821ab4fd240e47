"""What a policy is trained to do: the protocol, and what several objectives share.

Shapes: B rows, H ticks, J joints, C context tokens, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ebt_recipes.model.batch import Batch
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.objectives.sampler import Samples

Model = TypeVar("Model", bound=ChunkModel, contravariant=True)


@dataclass(frozen=True)
class Loss:
    """A scalar to descend, and what it is made of."""

    total: Tensor
    parts: Mapping[str, Tensor]
    """Detached and unweighted."""


class Objective(Protocol[Model]):
    """A way to train a network and the way to sample from it that belongs to it."""

    def __call__(self, model: Model, batch: Batch, generator: torch.Generator) -> Loss: ...

    def sample(
        self,
        model: Model,
        context: Tensor,
        steps: int | None,
        generator: torch.Generator,
        start: Tensor | None = None,
    ) -> Samples:
        """Plans for these contexts [B, C, D], from noise or from `start` [B, H, J]; None: the recipe's own steps."""
        ...


@dataclass(frozen=True)
class Pairs:
    """Observations once, chunks and noise for them several times."""

    context: Tensor
    """[B, C, D]"""
    target: Tensor
    """[B, H, J]"""
    many_context: Tensor
    """[B * n, C, D]"""
    many_target: Tensor
    """[B * n, H, J]"""
    noise: Tensor
    """[B * n, H, J]"""


def pair_up(model: ChunkModel, context: Tensor, batch: Batch, times: int, generator: torch.Generator) -> Pairs:
    """Each observation's chunk with `times` noises: the encoder runs once for all of them."""
    target = model.normalise(batch.chunk, batch.observations.joints["position"])
    many = target.repeat_interleave(times, dim=0)
    noise = torch.randn(many.shape, generator=generator, dtype=many.dtype)
    return Pairs(context, target, context.repeat_interleave(times, dim=0), many, noise)


def weigh(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Loss:
    """The weighted sum of the parts."""
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return Loss(total, {name: part.detach() for name, part in parts.items()})


def with_forecast(name: str, part: Tensor, model: ChunkModel, batch: Batch, pairs: Pairs, weight: float) -> Loss:
    """The loss of an objective of one part, and the forecast beside it."""
    forecast = forecast_loss(model, pairs.context, batch, pairs.target)
    return weigh({name: part, "forecast": forecast}, {name: 1.0, "forecast": weight})


def forecast_loss(model: ChunkModel, context: Tensor, batch: Batch, target: Tensor) -> Tensor:
    """How well the context alone foretells the pose at the next gripper event and the mean of the chunk.

    Both come from the demonstration's own joints; they give the vision tower a clear first-order signal.
    """
    event, mean = model.foresee(context)
    pose = model.encoder.standard_position(batch.event)
    return F.mse_loss(event, pose) + F.mse_loss(mean, target.mean(dim=1))


def start_noise(model: ChunkModel, context: Tensor, generator: torch.Generator, start: Tensor | None) -> Tensor:
    """`start`, or a chunk of noise [B, H, J] for each context."""
    if start is not None:
        return start
    return torch.randn(len(context), model.horizon, model.joints, generator=generator)
