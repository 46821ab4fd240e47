import pytest

from ebt_data.errors import MisuseError
from ebt_recipes.loop.interval import wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # R 4.4, prop.test(x, n, correct = FALSE)
        (0, 10, 0.0, 0.2775328),
        (5, 10, 0.2365931, 0.7634069),
        (10, 10, 0.7224672, 1.0),
        (45, 50, 0.7863977, 0.9565243),
    ],
)
def test_intervals_agree_with_r(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_no_rollouts_give_the_whole_interval() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_counts_and_levels_out_of_range_are_refused(successes: int, n: int, level: float) -> None:
    with pytest.raises(MisuseError):
        wilson(successes, n, level)
