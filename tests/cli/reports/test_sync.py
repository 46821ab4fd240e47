"""The lag between pictures and joints: estimated where it is known, and not where the data cannot determine it."""

import numpy as np
import pytest

from ebt_cli.reports.sync import Moves, between, lag
from tests.cli.reports.conftest import pose

SECONDS = 8.0


def seen(lag_s: float, seed: int = 0, noise: float = 0.02) -> Moves:
    """Pictures at 30 Hz that change as the joints did `lag_s` before their stamps, joints read at 20 Hz."""
    rng = np.random.default_rng(seed)
    taken_s, read_s = np.arange(0.01, SECONDS, 1 / 30), np.arange(0.002, SECONDS, 0.05)
    way = np.abs(np.diff(pose(taken_s - lag_s), axis=0)) @ (3.0, 1.0, 2.0)
    return between(taken_s, way + 0.5 + noise * rng.standard_normal(len(way)), read_s, pose(read_s))


@pytest.mark.parametrize("lag_s", [-0.12, -0.03, 0.0, 0.045, 0.2])
def test_a_known_lag_is_found_within_its_interval(lag_s: float) -> None:
    found = lag([seen(lag_s)])
    assert found is not None
    assert found.lag_s == pytest.approx(lag_s, abs=0.012)
    assert found.low_s - 0.006 <= lag_s <= found.high_s + 0.006
    assert found.high_s - found.low_s < 0.06


def test_more_episodes_narrow_the_interval() -> None:
    alone, together = (lag([seen(0.06, seed, noise=0.15) for seed in range(count)]) for count in (1, 8))
    assert alone is not None
    assert together is not None
    assert together.lag_s == pytest.approx(0.06, abs=0.01)
    assert together.high_s - together.low_s < alone.high_s - alone.low_s


def test_there_is_no_estimate_where_nothing_or_something_else_moves() -> None:
    rng = np.random.default_rng(1)
    assert lag([seen(0.0, noise=50.0)]) is None
    assert lag([Moves(part.ways[:, :9], part.changes[:9]) for part in [seen(0.0)]]) is None
    still = seen(0.0)
    assert lag([Moves(np.ones_like(still.ways), rng.random(len(still.changes)))]) is None
