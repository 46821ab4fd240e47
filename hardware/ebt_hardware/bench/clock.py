"""Time on the bench: wall time for real arms and the live twin, simulated time in lock-step."""

import math
import time
from collections.abc import Callable
from typing import Protocol

MIN_SLEEP_S = 1e-6  # a shorter wait is skipped
MAX_LATE_PERIODS = 0.25  # of a period; a tick that would start later than this is skipped and counted


class WallClock:
    """Ticks at absolute deadlines, so that lateness does not accumulate."""

    def __init__(
        self,
        rate_hz: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period_s = 1 / rate_hz
        self._monotonic_s = monotonic_s
        self._sleep_s = sleep_s
        self.start()

    def start(self) -> None:
        """Set the current time to 0 and the next tick to one period later."""
        self._origin_s = self._monotonic_s()
        self._tick = 1

    def now(self) -> float:
        """Seconds since `start`."""
        return self._monotonic_s() - self._origin_s

    def wait(self) -> int:
        """Return at the next tick that can start in time, with how many were skipped."""
        missed = self._skip_late()
        while (ahead_s := self._tick * self._period_s - self.now()) > MIN_SLEEP_S:
            self._sleep_s(ahead_s)
            missed += self._skip_late()  # the sleep itself may take longer
        self._tick += 1
        return missed

    def _skip_late(self) -> int:
        late_ticks = self.now() / self._period_s - self._tick
        missed = max(0, math.ceil(late_ticks - MAX_LATE_PERIODS))
        self._tick += missed
        return missed


class World(Protocol):
    """A world whose time advances only on request."""

    time_s: float

    def advance(self, duration_s: float) -> None: ...


class LockstepClock:
    """Simulated time: waiting for a tick advances the world, so no tick is late."""

    def __init__(self, world: World, rate_hz: float) -> None:
        self._world = world
        self._period_s = 1 / rate_hz
        self.start()

    def start(self) -> None:
        """Set the current time to 0 and the next tick to one period later."""
        self._origin_s = self._world.time_s

    def now(self) -> float:
        """Simulated seconds since `start`."""
        return self._world.time_s - self._origin_s

    def wait(self) -> int:
        """Advance the world by one period; never misses."""
        self._world.advance(self._period_s)
        return 0
