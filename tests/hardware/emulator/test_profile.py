"""The motor's trapezoidal velocity profile."""

from itertools import pairwise

import pytest

from ebt_hardware.emulator.profile import Profile


def run(profile: Profile, dt_s: float = 0.01, limit_s: float = 20.0) -> list[tuple[float, float]]:
    """Position and velocity at every step until it rests at its goal."""
    steps = []
    while profile.position != profile.goal or profile.velocity:
        profile.advance(dt_s)
        steps.append((profile.position, profile.velocity))
        assert len(steps) * dt_s < limit_s
    return steps


def test_no_limit_arrives_at_once() -> None:
    profile = Profile()
    profile.goal = 1000.0
    assert run(profile) == [(1000.0, 0.0)]


@pytest.mark.parametrize("goal", [1000.0, -1000.0])
def test_a_trapezoid_speeds_up_cruises_and_slows_down(goal: float) -> None:
    profile = Profile()
    profile.speed, profile.acceleration, profile.goal = 200.0, 400.0, goal
    steps = run(profile)
    speeds = [abs(velocity) for _, velocity in steps]
    assert max(speeds) == pytest.approx(200.0)
    assert speeds[24] == pytest.approx(100.0)
    assert len(steps) * 0.01 == pytest.approx(1000 / 200 + 200 / 400, abs=0.05)
    assert all(abs(position) <= 1000.0 for position, _ in steps), "it does not overshoot"
    changes = [abs(after - before) for before, after in pairwise(speeds)]
    assert max(changes[:-1]) <= 400.0 * 0.01 * 1.001, "the last step may stop from one step's speed"


@pytest.mark.parametrize("dt_s", [0.002, 0.01, 0.05])
def test_a_short_move_is_a_triangle_at_any_step(dt_s: float) -> None:
    profile = Profile()
    profile.speed, profile.acceleration, profile.goal = 1000.0, 100.0, 25.0
    steps = run(profile, dt_s)
    assert max(abs(velocity) for _, velocity in steps) == pytest.approx(50.0, rel=0.15)
    assert len(steps) * dt_s == pytest.approx(1.0, abs=0.15)


def test_turning_round_half_way_stays_within_the_acceleration() -> None:
    profile = Profile()
    profile.speed, profile.acceleration, profile.goal = 200.0, 400.0, 1000.0
    for _ in range(200):
        profile.advance(0.01)
    profile.goal = -1000.0
    before, velocities = profile.velocity, []
    for _, velocity in run(profile):
        velocities.append(velocity - before)
        before = velocity
    assert max(abs(change) for change in velocities[:-1]) <= 4.004
    assert profile.position == -1000.0


def test_a_time_based_move_takes_its_time() -> None:
    profile = Profile()
    profile.goal = 1000.0
    profile.set_duration(1000.0, total_s=2.0, ramp_s=0.5)
    assert len(run(profile)) * 0.01 == pytest.approx(2.0, abs=0.02)
