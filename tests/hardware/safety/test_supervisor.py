"""The supervisor's arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from ebt_data.step import Joints
from ebt_hardware.motors.arm import ArmState
from ebt_hardware.safety.supervisor import (
    Limits,
    MotorFault,
    OutOfRange,
    ReadsMissed,
    Supervisor,
    TrackingLost,
    UnsafeAction,
    ramp,
)

PERIOD_S = 0.05
JOINTS = ("lift", "flex", "gripper")


def row(*values: float) -> Joints:
    return np.array(values, np.float32)


LIMITS = Limits(
    low=row(-1, -1, 0),
    high=row(1, 2, 1.4),
    velocity_rad_s=row(2, 2, 6),
    tracking_rad=row(0.4, 0.4, np.inf),
    tracking_s=0.5,
    stale_ticks=3,
)


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(JOINTS, LIMITS, PERIOD_S)


def state(position: Joints, fresh: tuple[bool, ...] = (True, True, True)) -> ArmState:
    still = np.zeros(3, np.float32)
    return ArmState(position, still, still, np.array(fresh), np.zeros(3, np.bool_))


def test_a_reachable_action_is_sent_as_requested(supervisor: Supervisor) -> None:
    goal, events = supervisor.limit(row(0.05, -0.05, 0.2), 0.0)
    np.testing.assert_array_equal(goal, row(0.05, -0.05, 0.2))
    assert events == ()


def test_a_far_action_is_cut_to_one_tick_of_each_joints_speed(supervisor: Supervisor) -> None:
    goal, events = supervisor.limit(row(1, -1, 1), 0.0)
    np.testing.assert_allclose(goal, [0.1, -0.1, 0.3], rtol=1e-6)
    assert [event.kind for event in events] == ["limit"]
    assert "lift requested 1.000, sent 0.100 rad" in events[0].text


def test_limits_hold_around_the_last_goal_and_not_around_a_sagging_arm(supervisor: Supervisor) -> None:
    supervisor.note_sent(row(0.5, 0.5, 0.5))
    supervisor.check(state(row(0.2, 0.2, 0.5)), 0.0)
    goal, _ = supervisor.limit(row(0.5, 0.5, 0.5), 0.0)
    np.testing.assert_array_equal(goal, row(0.5, 0.5, 0.5))


def test_no_goal_leaves_the_joint_limits(supervisor: Supervisor) -> None:
    supervisor.note_sent(row(0.98, 1.98, 1.39))
    goal, _ = supervisor.limit(row(5, 5, 5), 0.0)
    np.testing.assert_allclose(goal, [1, 2, 1.4])


def test_a_joint_outside_its_limits_is_moved_back_step_by_step(supervisor: Supervisor) -> None:
    supervisor.note_sent(row(1.15, 0, 0))
    goal, _ = supervisor.limit(row(1.15, 0, 0), 0.0)
    np.testing.assert_allclose(goal, [1.05, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("action", [row(np.nan, 0, 0), row(np.inf, 0, 0), row(0, 0)])
def test_an_action_that_is_no_pose_is_refused(supervisor: Supervisor, action: Joints) -> None:
    with pytest.raises(UnsafeAction, match="3 finite joint angles"):
        supervisor.limit(action, 0.0)


def test_an_ongoing_clip_is_reported_once_a_second(supervisor: Supervisor) -> None:
    reported = [bool(supervisor.limit(row(1, 0, 0), tick * PERIOD_S)[1]) for tick in range(50)]
    assert np.flatnonzero(reported).tolist() == [0, 20, 40]


def test_torque_is_refused_naming_every_joint_far_from_its_range(supervisor: Supervisor) -> None:
    supervisor.check_range(row(1.1, 2.1, 0))
    with pytest.raises(OutOfRange, match=r"lift is at 1\.30.*flex is at -1\.50"):
        supervisor.check_range(row(1.3, -1.5, 0))


def test_a_joint_that_stays_away_from_its_goal_stops_the_bench(supervisor: Supervisor) -> None:
    stuck = state(row(0.5, 0, 0))
    for tick in range(11):
        supervisor.check(stuck, tick * PERIOD_S)
    with pytest.raises(TrackingLost, match=r"lift was sent to 0\.00 rad and is at 0\.50"):
        supervisor.check(stuck, 11 * PERIOD_S)


def test_a_short_lag_is_forgotten(supervisor: Supervisor) -> None:
    for tick in range(100):
        supervisor.check(state(row(0.5 if tick % 8 else 0.1, 0, 0)), tick * PERIOD_S)


def test_a_gripper_may_be_stopped_by_what_it_holds(supervisor: Supervisor) -> None:
    for tick in range(100):
        supervisor.check(state(row(0, 0, 1.2)), tick * PERIOD_S)


def test_holding_keeps_the_goal_but_pushes_on_nothing(supervisor: Supervisor) -> None:
    supervisor.note_sent(row(0.5, 0.5, 0.2))
    np.testing.assert_allclose(supervisor.hold_goal(row(0.4, -0.3, 0.9)), [0.5, -0.3, 0.2], rtol=1e-6)


def test_missed_reads_are_tolerated_then_named(supervisor: Supervisor) -> None:
    silent = state(row(0, 0, 0), (True, False, True))
    events = [supervisor.check(silent, tick * PERIOD_S) for tick in range(3)]
    assert events[0][0].text == "no answer from flex"
    with pytest.raises(ReadsMissed, match="flex missed 4 reads in a row"):
        supervisor.check(silent, 0.2)


def test_an_answer_in_between_starts_the_count_anew(supervisor: Supervisor) -> None:
    for tick in range(40):
        supervisor.check(state(row(0, 0, 0), (True, tick % 4 == 0, True)), tick * PERIOD_S)


def test_a_stale_position_does_not_count_as_off_goal(supervisor: Supervisor) -> None:
    frozen = Supervisor(JOINTS, replace(LIMITS, stale_ticks=100), PERIOD_S)
    for tick in range(50):
        frozen.check(state(row(0.9, 0, 0), (False, True, True)), tick * PERIOD_S)


def test_a_warm_motor_is_reported_and_a_hot_one_stops_the_bench(supervisor: Supervisor) -> None:
    assert supervisor.check_temperature("flex", 59.0, 0.0) == ()
    (event,) = supervisor.check_temperature("flex", 61.0, 1.0)
    assert (event.kind, event.text) == ("warm", "flex is at 61 C")
    with pytest.raises(MotorFault, match=r"gripper is at 69 C.*stops at 68 C"):
        supervisor.check_temperature("gripper", 69.0, 2.0)


def test_a_ramp_ends_exactly_at_its_target_and_keeps_its_speed() -> None:
    start, target = row(0.2, -0.3, 0), row(1.2, 0.1, 0)
    goals = np.array([start, *ramp(start, target, 1.0, PERIOD_S)])
    np.testing.assert_allclose(goals[-1], target, rtol=1e-6)
    speed = np.abs(np.diff(goals, axis=0)) / PERIOD_S
    assert speed.max() <= 1.0 + 1e-3
    assert speed[0].max() < 0.2
    assert speed[-1].max() < 0.2


def test_a_ramp_to_the_current_pose_takes_a_tick() -> None:
    assert len(list(ramp(row(1, 1, 1), row(1, 1, 1), 1.0, PERIOD_S))) == 1
