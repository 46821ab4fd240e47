import numpy as np
import pytest

from ebt_data.step import Joints
from ebt_recipes.retry.back_off import BackOff, BackOffRules, Grippers, towards

RATE_HZ = 20.0
RULES = BackOffRules(clear_rad=0.1, open_s=0.2, speed_rad_s=0.6, shortcut_rad=0.05)
OPEN, CLOSED = 1.0, 0.2


def pose(a: float, b: float, grip: float) -> Joints:
    return np.array([a, b, grip], dtype=np.float32)


def out_and_up() -> list[Joints]:
    """First joint out, then second joint up with the gripper closed."""
    out = [pose(a, 0.0, OPEN) for a in np.linspace(0, 0.5, 11)]
    return out + [pose(0.5, b, CLOSED) for b in np.linspace(0, 0.5, 11)]


def goals_of(path: list[Joints]) -> list[Joints]:
    back_off = BackOff(path, path[-1], Grippers((False, False, True), path[0]), RULES, RATE_HZ)
    goals = []
    while (goal := back_off.next()) is not None:
        goals.append(goal)
    return goals


def test_the_back_off_ends_at_the_first_pose() -> None:
    assert goals_of(out_and_up())[-1] == pytest.approx(pose(0.0, 0.0, OPEN))


def test_the_back_off_follows_the_path_without_short_cuts() -> None:
    corner = min(float(np.abs(goal[:2] - (0.5, 0.0)).max()) for goal in goals_of(out_and_up()))
    assert corner <= RULES.shortcut_rad


def test_no_tick_moves_a_joint_further_than_the_speed_allows() -> None:
    goals = [out_and_up()[-1], *goals_of(out_and_up())]
    steps = np.abs(np.diff(np.stack(goals), axis=0))[:, :2]
    assert steps.max() <= RULES.speed_rad_s / RATE_HZ + 1e-6


def test_the_gripper_does_not_move_until_the_arm_is_clear() -> None:
    goals = goals_of(out_and_up())
    opening = next(i for i, goal in enumerate(goals) if goal[2] != goals[0][2])
    assert goals[0][2] == np.float32(CLOSED)
    assert 0.5 - goals[opening][1] == pytest.approx(RULES.clear_rad, abs=2 * RULES.speed_rad_s / RATE_HZ)


def test_the_arm_waits_while_the_gripper_opens() -> None:
    goals = goals_of(out_and_up())
    opening = [i for i, goal in enumerate(goals) if CLOSED < goal[2] < OPEN]
    assert len({tuple(goals[i][:2]) for i in opening}) == 1


def test_loops_are_skipped() -> None:
    circle = [pose(np.sin(t), 1 - np.cos(t), OPEN) for t in np.linspace(0, 20 * np.pi, 2000)]
    assert len(goals_of(circle)) < 30


def test_a_path_of_one_pose_is_followed() -> None:
    assert goals_of([pose(0.1, 0.2, OPEN)])[-1] == pytest.approx(pose(0.1, 0.2, OPEN))


def test_an_arm_that_lags_for_long_is_stuck_and_a_short_lag_is_tolerated() -> None:
    path = out_and_up()
    back_off = BackOff(path, path[-1], Grippers((False, False, True), path[0]), RULES, RATE_HZ)
    far = back_off.goal + pose(0.3, 0.0, 0.0)
    assert not any(
        [
            back_off.stuck(far),
            back_off.stuck(far),
            back_off.stuck(back_off.goal),
            *(back_off.stuck(far) for _ in range(5)),
        ]
    )
    assert back_off.stuck(far)


def test_a_gripper_held_open_by_what_it_holds_is_not_stuck() -> None:
    path = out_and_up()
    back_off = BackOff(path, path[-1], Grippers((False, False, True), path[0]), RULES, RATE_HZ)
    assert not any(back_off.stuck(back_off.goal + pose(0.0, 0.0, 0.8)) for _ in range(50))


def test_grippers_without_an_open_pose_do_not_move_in_the_back_off() -> None:
    path = out_and_up()
    back_off = BackOff(path, path[-1], Grippers((False, False, True)), RULES, RATE_HZ)
    goals = []
    while (goal := back_off.next()) is not None:
        goals.append(goal)
    assert {goal[2] for goal in goals} == {np.float32(CLOSED)}
    assert goals[-1][:2] == pytest.approx([0.0, 0.0])
    assert np.abs(np.diff(np.stack(goals), axis=0)).max(axis=1).min() > 0, "the arm never waits"


def test_a_step_towards_a_pose_is_bounded_by_its_fastest_joint_and_ends_there() -> None:
    arms = np.array([True, True, False])
    part, rad = towards(pose(0.0, 0.0, CLOSED), pose(0.4, 0.2, OPEN), arms, 0.1)
    assert part == pytest.approx(pose(0.1, 0.05, CLOSED)) and rad == 0.1
    whole, rad = towards(part, pose(0.12, 0.05, OPEN), arms, 0.1)
    assert whole == pytest.approx(pose(0.12, 0.05, CLOSED)) and rad == pytest.approx(0.02)
