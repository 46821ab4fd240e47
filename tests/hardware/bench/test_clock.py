"""Time on the bench."""

import pytest

from ebt_hardware.bench.clock import LockstepClock, WallClock


class Time:
    """Wall time that advances only by sleep and work."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.oversleep_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s + self.oversleep_s
        self.oversleep_s = 0.0


class World:
    """Sums the durations it was advanced by."""

    def __init__(self) -> None:
        self.time_s = 7.0

    def advance(self, duration_s: float) -> None:
        self.time_s += duration_s


@pytest.fixture
def wall() -> Time:
    return Time()


@pytest.fixture
def clock(wall: Time) -> WallClock:
    return WallClock(10.0, wall, wall.sleep)


def test_ticks_fall_on_absolute_deadlines_whatever_the_work_took(wall: Time, clock: WallClock) -> None:
    begins = []
    for work_s in (0.03, 0.09, 0.001, 0.06):
        wall.now_s += work_s
        assert clock.wait() == 0
        begins.append(clock.now())
    assert begins == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_tick_up_to_a_quarter_period_late_still_counts(wall: Time, clock: WallClock) -> None:
    wall.now_s += 0.124
    assert clock.wait() == 0
    assert clock.now() == pytest.approx(0.124)
    assert clock.wait() == 0
    assert clock.now() == pytest.approx(0.2)


def test_a_later_tick_is_skipped_and_counted(wall: Time, clock: WallClock) -> None:
    wall.now_s += 0.126
    assert clock.wait() == 1
    assert clock.now() == pytest.approx(0.2)


def test_a_long_stall_skips_every_tick_it_covered(wall: Time, clock: WallClock) -> None:
    wall.now_s += 0.55
    assert clock.wait() == 5
    assert clock.now() == pytest.approx(0.6)


def test_oversleeping_counts_as_late(wall: Time, clock: WallClock) -> None:
    wall.oversleep_s = 0.03
    assert clock.wait() == 1
    assert clock.now() == pytest.approx(0.2)


def test_start_makes_now_zero_and_the_next_tick_a_period_away(wall: Time, clock: WallClock) -> None:
    wall.now_s += 0.37
    clock.start()
    assert clock.now() == 0.0
    assert clock.wait() == 0
    assert clock.now() == pytest.approx(0.1)


def test_lockstep_time_passes_only_by_waiting() -> None:
    world = World()
    clock = LockstepClock(world, 20.0)
    assert clock.now() == 0.0
    assert [clock.wait() for _ in range(3)] == [0, 0, 0]
    assert clock.now() == pytest.approx(0.15)
    clock.start()
    assert clock.now() == 0.0
