"""The load of an emulated motor: a joint of the twin's world, or a free shaft."""

from typing import Protocol


class Shaft(Protocol):
    """A motor's horn. Angles are in rad, continuous over turns, 0 where the horn's mark is at 2048 ticks."""

    def position(self) -> float: ...

    def velocity(self) -> float:
        """In rad/s."""
        ...

    def effort(self) -> float:
        """Motor torque as a signed fraction of its stall torque, -1..1."""
        ...

    def drive(self, goal_rad: float | None, effort_limit: float) -> None:
        """Hold at the goal with at most this fraction of stall torque; None lets the horn turn freely."""
        ...


class FreeShaft:
    """A horn with inertia, friction and an optional constant load.

    The constants give an XL430's no-load speed and about the settling time of the factory gains.
    """

    _ACCELERATION = 300.0  # rad/s^2 at stall torque
    _DRAG = 50.0  # 1/s, so that full effort runs at 6 rad/s
    _STIFFNESS = 8.0  # fraction of stall per rad, so that a load leaves a steady error as a P gain does
    _DAMPING = 0.1  # fraction of stall per rad/s
    _LONGEST_STEP_S = 0.005

    def __init__(self, position: float = 0.0, load: float = 0.0) -> None:
        self.load = load
        """External torque as a fraction of stall, e.g. an arm's weight."""
        self.blocked = False
        """True while the horn is blocked."""
        self._position = position
        self._velocity = 0.0
        self._effort = 0.0
        self._goal: float | None = None
        self._limit = 0.0

    def position(self) -> float:
        return self._position

    def velocity(self) -> float:
        return self._velocity

    def effort(self) -> float:
        return self._effort

    def drive(self, goal_rad: float | None, effort_limit: float) -> None:
        self._goal = goal_rad
        self._limit = effort_limit
        if goal_rad is None:
            self._effort = 0.0

    def set_position(self, position: float) -> None:
        """Set the angle, as when the horn is turned by hand."""
        self._position = position
        self._velocity = 0.0

    def advance(self, dt_s: float) -> None:
        """Advance by `dt_s`."""
        steps = max(1, round(dt_s / self._LONGEST_STEP_S))
        for _ in range(steps):
            self._step(dt_s / steps)

    def _step(self, dt_s: float) -> None:
        if self._goal is not None:
            wanted = self._STIFFNESS * (self._goal - self._position) - self._DAMPING * self._velocity
            self._effort = max(-self._limit, min(self._limit, wanted))
        if self.blocked:
            self._velocity = 0.0
            return
        push = self._ACCELERATION * (self._effort + self.load) - self._DRAG * self._velocity
        self._velocity += push * dt_s
        self._position += self._velocity * dt_s
