"""As many descent steps as there is time for."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

MEMORY = 5
"""Plans that tell what to expect: the median of so few follows the machine, and forgets one odd plan at once."""


@dataclass
class Deadline:
    """Keeps the pace of plans, and says how many steps the next can afford."""

    within_s: float
    """For a whole plan."""
    _paces: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MEMORY))
    """Of the latest plans: s beside their steps, and s a step."""

    def steps(self, wanted: int) -> int:
        """At most those, at least one where one is wanted."""
        if not self._paces:
            return wanted
        rest_s, step_s = (median_low(values) for values in zip(*self._paces, strict=True))
        return min(wanted, max(1, int((self.within_s - rest_s) / step_s)))

    def note(self, rest_s: float, steps_s: float, steps: int) -> None:
        """A plan is done; without a step it tells nothing."""
        if steps:
            self._paces.append((rest_s, steps_s / steps))
