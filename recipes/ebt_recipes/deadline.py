"""As many descent steps as there is time for."""

from dataclasses import dataclass

MEMORY = 0.8
"""Weight of the plans before in what is expected of the next."""


@dataclass
class Deadline:
    """Keeps the pace of plans, and says how many steps the next can afford."""

    within_s: float
    """For a whole plan."""
    fixed_s: float = 0.0
    """What a plan takes before its first step."""
    step_s: float = 0.0

    def steps(self, wanted: int) -> int:
        """At most those, at least one where one is wanted."""
        if not self.step_s:
            return wanted
        return min(wanted, max(1, int((self.within_s - self.fixed_s) / self.step_s)))

    def note(self, fixed_s: float, steps_s: float, steps: int) -> None:
        """A plan is done."""
        each_s = steps_s / max(1, steps)
        first = not self.step_s
        self.fixed_s = fixed_s if first else MEMORY * self.fixed_s + (1 - MEMORY) * fixed_s
        self.step_s = each_s if first else MEMORY * self.step_s + (1 - MEMORY) * each_s
