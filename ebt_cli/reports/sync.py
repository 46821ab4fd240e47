"""Estimates how far a camera's images lag behind the joint positions, from how both move.

How much a picture differs from the one before is explained, by linear regression, by how far each joint went between the
two recorded time stamps, both shifted by a lag. The lag that explains most is the error of the
stamps. Its interval comes from a block bootstrap over the images.

Shapes: F new pictures, L lags, J joints, K = J + 1 terms, B blocks, R resamples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode

Values = NDArray[np.float64]
MAX_LAG_S, STEP_S = 0.3, 0.005
"""Lags that are tried; a queue of ten pictures or a wrong clock is further off."""
EXPLAINED = 0.3
"""Share of the pictures' changes (R^2) below which nothing is reported; our choice. The twin's cameras reach .7 to .9."""
MIN_PICTURES = 40
"""With fewer no lag is estimated."""
SIDE = 48
"""Pixels a side, about, that pictures are thinned to."""
BLOCK, RESAMPLES = 10, 200
"""Pictures per block of the bootstrap, and the number of resamples."""
TRIED_S: Values = np.arange(-MAX_LAG_S, MAX_LAG_S + STEP_S / 2, STEP_S)


@dataclass(frozen=True)
class Lag:
    """Of one camera: positive where its images are older than their stamps."""

    lag_s: float
    low_s: float
    """95 % interval."""
    high_s: float
    explained: float
    """R^2 at that lag."""
    pictures: int


class Moves(NamedTuple):
    """Motion between images, by the joints and by the images."""

    ways: Values
    """[L, F - 1, K] how far each joint moved, and 1."""
    changes: Values
    """[F - 1] mean absolute difference of the pictures."""


def moves(episode: "Episode", camera: str) -> Moves:
    """Of one episode: only pictures that every lag can be tried on: all lags are compared on the same ones."""
    thin, taken_s = [], []
    age_s, ticks_s = episode.camera_time(camera)["age"], episode.time["tick"]
    for row in episode.image_index(camera)[0]:  # none where the first of them was dropped
        image = episode.image(camera, int(row))
        rows, columns = (max(1, side // SIDE) for side in image.shape[:2])
        thin.append(image[::rows, ::columns].astype(np.int16))
        taken_s.append(float(ticks_s[row] - age_s[row]))
    changes = np.array([np.abs(after - before).mean() for before, after in pairwise(thin)])
    return between(np.array(taken_s), changes, episode.time["read"], episode.qpos)


def between(taken_s: Values, changes: Values, read_s: Values, qpos_TJ: NDArray[np.float32]) -> Moves:
    """From capture times [F] and changes [F - 1] of pictures, and read times [T] and positions of joints."""
    if len(taken_s) < 2 or len(read_s) < 2:
        return Moves(np.empty((len(TRIED_S), 0, qpos_TJ.shape[1] + 1)), np.empty(0))
    inside = (taken_s[:-1] - MAX_LAG_S >= read_s[0]) & (taken_s[1:] + MAX_LAG_S <= read_s[-1])
    poses = np.stack([np.interp(taken_s - TRIED_S[:, None], read_s, joint) for joint in qpos_TJ.T], axis=2)
    ways = np.abs(np.diff(poses, axis=1))[:, inside]
    return Moves(np.concatenate([ways, np.ones((*ways.shape[:2], 1))], axis=2), changes[inside])


def lag(parts: Iterable[Moves]) -> Lag | None:
    """The lag of one camera over one or several episodes; None where too little moves, or not with the joints."""
    blocks = [block for part in parts for block in _blocks(part)]
    count = sum(len(block.changes) for block in blocks)
    if count < MIN_PICTURES:
        return None
    grams = np.stack([np.einsum("lfk,lfm->lkm", block.ways, block.ways) for block in blocks])
    sides = np.stack([np.einsum("lfk,f->lk", block.ways, block.changes) for block in blocks])
    squares = np.array([(len(block.changes), block.changes.sum(), (block.changes**2).sum()) for block in blocks])
    every = np.ones((1, len(blocks)))
    best_s, explained = _best(every, grams, sides, squares)
    if explained[0] < EXPLAINED:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), size=RESAMPLES).astype(np.float64)
    low, high = np.percentile(_best(drawn, grams, sides, squares)[0], [2.5, 97.5])
    return Lag(float(best_s[0]), float(low), float(high), float(explained[0]), count)


def _blocks(part: Moves) -> list[Moves]:
    """Stretches of successive pictures."""
    firsts = range(0, len(part.changes), BLOCK)
    return [Moves(part.ways[:, first : first + BLOCK], part.changes[first : first + BLOCK]) for first in firsts]


def _best(weights_RB: Values, grams: Values, sides: Values, squares: Values) -> tuple[Values, Values]:
    """For each resample [R] of the blocks the lag of the highest R^2, interpolated between tried lags, and its R^2."""
    terms = grams.shape[-1]
    gram = np.einsum("rb,blkm->rlkm", weights_RB, grams) + 1e-9 * np.eye(terms)
    side = np.einsum("rb,blk->rlk", weights_RB, sides)
    count, total, square = (weights_RB @ squares).T
    fit = np.einsum("rlk,rlk->rl", side, np.linalg.solve(gram, side[..., None])[..., 0])
    spread = np.maximum(square - total**2 / count, 1e-12)
    explained = 1 - (square[:, None] - fit) / spread[:, None]
    rows = np.arange(len(explained))
    top = explained.argmax(axis=1).clip(1, explained.shape[1] - 2)
    left, middle, right = (explained[rows, top + off] for off in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    return TRIED_S[top] + STEP_S * shift.clip(-1, 1), explained[rows, top]
