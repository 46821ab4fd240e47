"""The protocol of training objectives, and functions that several of them share.

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
    """The total loss and its parts."""

    total: Tensor
    parts: Mapping[str, Tensor]
    """Detached and unweighted."""


class Objective(Protocol[Model]):
    """A training loss and its matching sampler."""

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
    """Contexts and chunks once per observation, and repeated with several noise samples each."""

    context: Tensor
    """[B, C, D]"""
    target: Tensor
    """[B, H, J]"""
    repeated_context: Tensor
    """[B * n, C, D]"""
    repeated_target: Tensor
    """[B * n, H, J]"""
    noise: Tensor
    """[B * n, H, J]"""


def pair_with_noise(model: ChunkModel, context: Tensor, batch: Batch, times: int, generator: torch.Generator) -> Pairs:
    """Each observation's chunk with `times` noise samples: the encoder runs once for all of them."""
    target = model.normalise(batch.chunk, batch.observations.joints["position"])
    many = target.repeat_interleave(times, dim=0)
    noise = torch.randn(many.shape, generator=generator, dtype=many.dtype)
    return Pairs(context, target, context.repeat_interleave(times, dim=0), many, noise)


def weighted_loss(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Loss:
    """The weighted sum of the parts."""
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return Loss(total, {name: part.detach() for name, part in parts.items()})


def loss_with_forecast(name: str, part: Tensor, model: ChunkModel, batch: Batch, pairs: Pairs, weight: float) -> Loss:
    """Weighted sum of an objective's only part and the forecast loss."""
    forecast = forecast_loss(model, pairs.context, batch, pairs.target)
    return weighted_loss({name: part, "forecast": forecast}, {name: 1.0, "forecast": weight})


def forecast_loss(model: ChunkModel, context: Tensor, batch: Batch, target: Tensor) -> Tensor:
    """Error in predicting the pose at the next gripper event and the mean of the chunk from the context alone.

    Both targets come from the demonstrated joints; they give the vision encoder a direct training signal.
    """
    event, mean = model.predict_auxiliary(context)
    pose = model.encoder.normalise_position(batch.event)
    return F.mse_loss(event, pose) + F.mse_loss(mean, target.mean(dim=1))


def start_noise(model: ChunkModel, context: Tensor, generator: torch.Generator, start: Tensor | None) -> Tensor:
    """`start`, or a chunk of noise [B, H, J] for each context."""
    if start is not None:
        return start
    return torch.randn(len(context), model.horizon, model.joints, generator=generator)
