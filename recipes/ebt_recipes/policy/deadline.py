"""Limits the descent steps of a plan to the available time."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

WINDOW = 5
"""Recent plans whose median predicts the next one: it adapts quickly and ignores one outlier."""


@dataclass
class Deadline:
    """Records durations of plans, and returns how many steps fit into the next."""

    within_s: float
    """Time limit of a plan, including encoding and scoring."""
    _durations: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    """Of the latest plans: s outside the steps, and s per step."""

    def steps(self, wanted: int) -> int:
        """At most `wanted` steps; at least one, unless `wanted` is 0."""
        if not self._durations:
            return wanted
        rest_s, step_s = (median_low(values) for values in zip(*self._durations, strict=True))
        return min(wanted, max(1, int((self.within_s - rest_s) / step_s)))

    def record(self, rest_s: float, steps_s: float, steps: int) -> None:
        """Record a finished plan; one without steps is ignored."""
        if steps:
            self._durations.append((rest_s, steps_s / steps))
