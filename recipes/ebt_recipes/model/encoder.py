"""Observations to context tokens: keypoints from a small vision encoder, joints normalised and magnified.

Shapes: B rows, S pixels a side, K keypoints, J joints, F features, C context tokens, D width.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import PAST, EncoderRecipe, ObserveRecipe


class VisionEncoder(nn.Module):
    """Three convolutions and a spatial softmax (arXiv 1504.00702): the image position at which each channel is active.

    Group normalisation, because batch statistics would couple rows and distort the averaged weights. Images are kept
    channels-last: a fifth to a half faster on a CPU than channels-first, and faster than bfloat16 at this size. The
    first layer has stride 4: twice as fast to train as two layers with stride 2 (docs/lab-notes/performance.md).
    """

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        inputs = (3, *channels[:-1])
        shapes = ((6, 4), (3, 1), (3, 1))  # kernel, stride
        layers: list[nn.Module] = []
        for into, out, (kernel, stride) in zip(inputs, channels, shapes, strict=True):
            layers += [
                nn.Conv2d(into, out, kernel, stride, (kernel - 1) // 2),
                nn.GroupNorm(min(4, out), out),
                nn.SiLU(),
            ]
        self.layers = nn.Sequential(*layers[:-2]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.keypoints = channels[-1]

    def forward(self, image_BSSC: Tensor) -> Tensor:
        """Pixels 0..1 to [B, 3K]: x and y in -1..1, and the activation strength of each keypoint there."""
        maps_BKhw: Tensor = self.layers(image_BSSC.permute(0, 3, 1, 2) * 2 - 1)
        height, width = maps_BKhw.shape[-2:]
        flat = maps_BKhw.flatten(2)
        attention = flat.softmax(-1)
        down = torch.linspace(-1, 1, height, device=flat.device).repeat_interleave(width)
        across = torch.linspace(-1, 1, width, device=flat.device).repeat(height)
        place = attention @ torch.stack([across, down], dim=1)
        strength = (attention * flat).sum(-1, keepdim=True)
        return torch.cat([place, torch.tanh(strength / 4)], dim=-1).flatten(1)


class Normaliser(nn.Module):
    """(x - mean) / std, with both kept as buffers, so that a checkpoint contains them."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: MeanStd) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(statistics.mean.copy()))
        self.register_buffer("std", torch.from_numpy(statistics.std.copy()))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def inverse(self, x: Tensor) -> Tensor:
        return x * self.std + self.mean


class ObservationEncoder(nn.Module):
    """One token for each camera, each kind of joint reading and each privileged pose."""

    def __init__(
        self,
        recipe: EncoderRecipe,
        cameras: tuple[str, ...],
        inputs: tuple[str, ...],
        statistics: Statistics,
        width: int,
    ) -> None:
        """`inputs` names the joint readings and privileged poses that are observed."""
        super().__init__()
        self.recipe = recipe
        self.cameras = cameras
        self.inputs = inputs
        self.towers = nn.ModuleDict({name: VisionEncoder(recipe.channels) for name in cameras})
        self.scales = nn.ModuleDict({_key(name): Normaliser(statistics.inputs[name]) for name in inputs})
        self.position = Normaliser(statistics.inputs["position"])
        plain = ("velocity", "effort", PAST)
        self.zooms = {name: recipe.zoom_state for name in inputs if name not in plain} | {"position": recipe.zoom_rad}
        self.sizes = [3 * recipe.channels[-1]] * len(cameras) + [self._width(name, statistics) for name in inputs]
        self.tokens = nn.ModuleList(
            nn.Sequential(nn.Linear(size, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for size in self.sizes
        )
        self.kinds = nn.Parameter(0.02 * torch.randn(len(self.sizes), width))
        self.norm = nn.LayerNorm(width)  # bounds the effect of an out-of-distribution pose on the energy

    def _width(self, name: str, statistics: Statistics) -> int:
        size = len(statistics.inputs[name].mean)
        return 2 * size if self.zooms.get(name) else size

    def forward(self, observations: Observations) -> Tensor:
        """Context tokens [B, C, D]."""
        return self.embed(self.features(observations))

    def features(self, observations: Observations) -> Tensor:
        """[B, F] keypoints and joint readings, each about one in size, suitable for distances between observations."""
        parts = [self.towers[name](_pixels(observations.images[name])) for name in self.cameras]
        for name in self.inputs:
            values = observations.joints.get(name)
            values = observations.privileged[name] if values is None else values
            parts.append(self.scales[_key(name)](values))
            if zoom := self.zooms.get(name):
                parts.append(self._zoom(values - (self.position.mean if name == "position" else 0), zoom))
        return torch.cat(parts, dim=-1)

    def embed(self, features_BF: Tensor) -> Tensor:
        """Context tokens [B, C, D] of these features."""
        parts = torch.split(features_BF, self.sizes, dim=-1)
        tokens = [token(part) for token, part in zip(self.tokens, parts, strict=True)]
        context: Tensor = self.norm(torch.stack(tokens, dim=1) + self.kinds)
        return context

    def normalise_position(self, position_BJ: Tensor) -> Tensor:
        """Poses, normalised like the position reading."""
        pose: Tensor = self.position(position_BJ)
        return pose

    @staticmethod
    def _zoom(offset: Tensor, width: float) -> Tensor:
        """Magnify around zero; asinh limits large offsets. Measured to improve precision near a tolerance."""
        return torch.asinh(offset / width) / 2


def _key(name: str) -> str:
    """Module names must not contain a dot."""
    return name.replace(".", "_")


def _pixels(image: Tensor) -> Tensor:
    return image if image.is_floating_point() else image.float() / 255


def augment(observations: Observations, recipe: EncoderRecipe, generator: torch.Generator) -> Observations:
    """Shift every image by up to `shift_px` (arXiv 2004.13649) and change its brightness and contrast a little."""
    images = {name: _augment(image, recipe, generator) for name, image in observations.images.items()}
    return Observations(images, observations.joints, observations.privileged)


def add_past_noise(observations: Observations, recipe: ObserveRecipe, generator: torch.Generator) -> Observations:
    """Add noise to past actions, scaled by their standard deviation in the batch, so that they cannot be copied."""
    if PAST not in observations.joints:
        return observations
    past = observations.joints[PAST]
    std = past.std(dim=0, correction=0)
    noisy = past + recipe.past_noise * std * torch.randn(past.shape, generator=generator)
    return Observations(observations.images, {**observations.joints, PAST: noisy}, observations.privileged)


def _augment(image_BSSC: Tensor, recipe: EncoderRecipe, generator: torch.Generator) -> Tensor:
    rows, side = image_BSSC.shape[:2]
    shift = recipe.shift_px
    corners = torch.randint(0, 2 * shift + 1, (rows, 2), generator=generator).tolist()
    padded = np.pad(image_BSSC.numpy(), ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    shifted = np.empty(image_BSSC.shape, np.uint8)
    for row, (down, across) in enumerate(corners):  # slicing is ten times faster than indexing pixels
        shifted[row] = padded[row, down : down + side, across : across + side]
    light = recipe.jitter * (2 * torch.rand((2, rows, 1, 1, 1), generator=generator) - 1)
    pixels = torch.from_numpy(shifted).float()
    return pixels.mul_((1 + light[0]) / 255).add_(light[1])
