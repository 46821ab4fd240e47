"""How well alarms tell failures from successes; arithmetic alone.

Shapes: E episodes. `positive` marks the failures.
"""

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


def auroc(scores_E: Values, positive_E: Flags) -> float:
    """The chance that a failure scores above a success; a tie counts half. NaN where either is missing."""
    high, low = scores_E[positive_E], np.sort(scores_E[~positive_E])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def share(flags: Flags) -> float:
    """Of true ones; NaN where there are none at all."""
    return float(flags.mean()) if len(flags) else float("nan")


def balanced_accuracy(alarmed_E: Flags, positive_E: Flags) -> float:
    """The mean of the shares of failures that are called and of successes that are not."""
    return (share(alarmed_E[positive_E]) + share(~alarmed_E[~positive_E])) / 2


def timely_accuracy(alarm_at_E: Values, positive_E: Flags) -> float:
    """Balanced accuracy in which a called failure earns only 1 - `alarm_at`, the share of the episode that had passed.

    As FIPER's time-weighted accuracy (arXiv 2510.09459). inf: never called.
    """
    earned = np.where(np.isfinite(alarm_at_E), 1 - alarm_at_E, 0.0)[positive_E]
    return (float(earned.mean()) if len(earned) else float("nan")) / 2 + share(
        ~np.isfinite(alarm_at_E[~positive_E])
    ) / 2
