"""Confidence interval of a success rate over few rollouts."""

from math import sqrt
from statistics import NormalDist

from ebt_data.errors import MisuseError


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, both ends in 0..1; (0, 1) where n is 0.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22 (1927), 209-212, https://doi.org/10.1080/01621459.1927.10502953

    Raises:
        MisuseError: the counts or the level are out of range.
    """
    if not (0 <= successes <= n and 0 < level < 1):
        raise MisuseError(f"{successes} successes of {n} at level {level}: expected 0 <= successes <= n, 0 < level < 1")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate = successes / n
    centre = rate + z * z / (2 * n)
    spread = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Rounding would leave 1e-17 where the ends are exactly 0 and 1.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high
