"""Metrics of how well alarms separate failures from successes; arithmetic only.

Shapes: E episodes. `positive` marks the failures.
"""

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


def auroc(scores_E: Values, positive_E: Flags) -> float:
    """Probability that a failure scores above a success; a tie counts half. NaN where either is missing."""
    high, low = scores_E[positive_E], np.sort(scores_E[~positive_E])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def share(flags: Flags) -> float:
    """Share of true flags; NaN where there are no flags."""
    return float(flags.mean()) if len(flags) else float("nan")


def balanced_accuracy(alarmed_E: Flags, positive_E: Flags) -> float:
    """Mean of the shares of failures with an alarm and of successes without one."""
    return (share(alarmed_E[positive_E]) + share(~alarmed_E[~positive_E])) / 2


def timely_accuracy(alarm_at_E: Values, positive_E: Flags) -> float:
    """Balanced accuracy in which a detected failure counts 1 - `alarm_at`, the share of the episode that was left.

    As FIPER's time-weighted accuracy (arXiv 2510.09459). inf: no alarm.
    """
    earned = np.where(np.isfinite(alarm_at_E), 1 - alarm_at_E, 0.0)[positive_E]
    return (float(earned.mean()) if len(earned) else float("nan")) / 2 + share(
        ~np.isfinite(alarm_at_E[~positive_E])
    ) / 2
