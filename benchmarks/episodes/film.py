"""Synthetic pictures and depth with a sensor's noise, so that they compress no better than those of real cameras."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import CameraSpec, Frame

HEIGHT, WIDTH, RATE_HZ = 480, 640, 30.0
DEPTH_UNIT_M = 1e-3
"""Default of D415, D435 and D455; a D405 counts tenths of that, with three more bits of noise."""
LENGTH = 30
NOISE = 2.0
"""Of a pixel's 255, standard deviation."""
DEPTH_NOISE, HOLES = 0.002, 0.03
"""Standard deviation relative to the distance; share of pixels without depth. Unlike a camera's, pixels are independent."""


@dataclass(frozen=True)
class Film:
    """One camera's frames, repeated."""

    images: NDArray[np.uint8]
    """[F, H, W, 3]"""
    depths: NDArray[np.uint16]
    """[F, H, W] counts"""

    def frame(self, number: int, age_s: float) -> Frame:
        """The frame of the device's frame count `number`."""
        device_s = number / RATE_HZ
        place = number % LENGTH
        image, depth = self.images[place].copy(), self.depths[place].copy()  # as a camera's own buffers are
        return Frame(image, number, device_s, "global_time", device_s, age_s, False, depth)


def cameras(count: int, depth_unit_m: float) -> dict[str, CameraSpec]:
    """Specifications of `count` cameras, each with colour and depth."""
    return {f"camera_{number}": CameraSpec(HEIGHT, WIDTH, RATE_HZ, depth_unit_m) for number in range(count)}


def shoot(specs: Mapping[str, CameraSpec]) -> dict[str, Film]:
    """A table with moving blocks, different for each camera."""
    return {name: _shoot(np.random.default_rng(place), spec) for place, (name, spec) in enumerate(specs.items())}


def _shoot(rng: np.random.Generator, spec: CameraSpec) -> Film:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    grain = rng.normal(0, 6, (HEIGHT // 4, WIDTH // 4, 3)).repeat(4, axis=0).repeat(4, axis=1)
    table = 140 + 30 * np.sin(x / 90)[..., None] + 0.05 * y[..., None] + grain
    distance_m = 0.75 - 0.3 * y / HEIGHT
    blocks = rng.uniform((0, 0, 40, -6, 0.02), (HEIGHT - 90, WIDTH - 90, 90, 6, 0.06), (6, 5))
    colours = rng.integers(20, 235, (6, 3))
    images, depths = [], []
    for number in range(LENGTH):
        image, depth_m = table.copy(), distance_m.copy()
        for (top, left, side, speed, height_m), colour in zip(blocks, colours, strict=True):
            first = int(np.clip(left + speed * number, 0, WIDTH - side))
            patch = np.s_[int(top) : int(top + side), first : first + int(side)]
            image[patch] = colour
            depth_m[patch] -= height_m
        images.append((image + rng.normal(0, NOISE, image.shape)).clip(0, 255).astype(np.uint8))
        counts = depth_m * (1 + rng.normal(0, DEPTH_NOISE, depth_m.shape)) / (spec.depth_unit_m or DEPTH_UNIT_M)
        counts[rng.random((HEIGHT // 8, WIDTH // 8)).repeat(8, axis=0).repeat(8, axis=1) < HOLES] = 0
        depths.append(counts.astype(np.uint16))
    return Film(np.stack(images), np.stack(depths))
