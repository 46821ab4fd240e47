"""A motor's trapezoidal velocity profile towards a goal, set by its profile registers."""

import math

_TINY = 1e-6  # far below a tick; absorbs rounding at the end of a ramp


class Profile:
    """Follows a goal at limited speed and acceleration; in the caller's units (ticks here) and seconds."""

    def __init__(self) -> None:
        self.position = 0.0
        self.velocity = 0.0
        self.goal = 0.0
        self.speed = 0.0
        """Largest speed; 0 for no limit, as in the register."""
        self.acceleration = 0.0
        """Largest acceleration; 0 for no limit."""

    def stop_at(self, position: float) -> None:
        """Set position and goal to `position`, at rest."""
        self.position = self.goal = position
        self.velocity = 0.0

    def set_duration(self, goal: float, total_s: float, ramp_s: float) -> None:
        """Choose speed and acceleration so that the goal is reached after `total_s` (0: at once)."""
        distance = abs(goal - self.position)
        ramp_s = min(ramp_s, total_s / 2)
        self.speed = distance / (total_s - ramp_s) if total_s else 0.0
        self.acceleration = self.speed / ramp_s if ramp_s else 0.0

    def advance(self, dt_s: float) -> None:
        """Advance by `dt_s`."""
        gap = self.goal - self.position
        if gap == 0.0 and self.velocity == 0.0:
            return
        if self.speed == 0.0:
            self.stop_at(self.goal)
        elif self.acceleration == 0.0:
            step = self.speed * dt_s
            if abs(gap) <= step:
                self.stop_at(self.goal)
            else:
                self.velocity = math.copysign(self.speed, gap)
                self.position += self.velocity * dt_s
        else:
            self._accelerate(gap, dt_s)

    def _accelerate(self, gap: float, dt_s: float) -> None:
        step = self.acceleration * dt_s
        # The speed from which it can still stop at the goal, allowing for one more step at that speed.
        max_speed = math.sqrt(step * step / 4 + 2 * self.acceleration * abs(gap)) - step / 2
        wanted = math.copysign(min(self.speed, max_speed), gap)
        self.velocity += max(-step, min(step, wanted - self.velocity))
        move = self.velocity * dt_s
        if abs(self.velocity) <= step + _TINY and abs(move) >= abs(gap) - _TINY:
            self.stop_at(self.goal)
        else:
            self.position += move
