"""Resizes images by area averaging, identically for training and inference."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Image


def resize_area(image: Image, size: tuple[int, int]) -> Image:
    """[H, W, 3] to [*size, 3]: each new pixel is the mean of the area that it covers, rounded.

    Height and width are scaled independently. A side that is enlarged repeats its nearest pixels.
    """
    height, width = size
    if image.shape[:2] == size:
        return image
    row_weights = _weights(image.shape[0], height)
    column_weights = _weights(image.shape[1], width)
    rows = row_weights @ image.reshape(image.shape[0], -1).astype(np.float32)
    columns = rows.reshape(height, image.shape[1], 3).transpose(0, 2, 1) @ column_weights.T
    resized: Image = np.rint(columns.transpose(0, 2, 1)).astype(np.uint8, order="C")
    return resized


@lru_cache(maxsize=32)
def _weights(source: int, target: int) -> NDArray[np.float32]:
    """[target, source]: weight of each source pixel in a target pixel; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)[None, :]
    covered = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    weights: NDArray[np.float32] = (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights
