"""The guarantees of a bench, on emulated motors in simulated time."""

from dataclasses import replace

import numpy as np
import pytest

from ebt_data.errors import HardwareError, TaskFailed
from ebt_data.step import Event
from ebt_hardware.bench.bench import Bench
from ebt_hardware.emulator.emulator import Emulator
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.bus_errors import BusLost
from ebt_hardware.safety.supervisor import MotorFault, OutOfRange, ReadsMissed, TrackingLost, UnsafeAction
from tests.hardware.bench.conftest import HOME, IDS, PARK, RATE_HZ, START, Room, build, row, run, torque


def goals(motors: Emulator, arm: Arm) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Every goal written so far, [writes, J] rad."""
    return np.array([arm.calibration.radians(np.array([write.goals[motor] for motor in IDS])) for write in motors.log])


# Torque on entry and exit


def test_torque_is_on_inside_with_and_nowhere_else(bench: Bench, motors: Emulator) -> None:
    assert torque(motors) == [0, 0, 0]
    with bench:
        assert torque(motors) == [1, 1, 1]
    assert torque(motors) == [0, 0, 0]


def test_torque_is_enabled_at_the_current_pose(bench: Bench, motors: Emulator, arm: Arm) -> None:
    with bench:
        observation = bench.observe()
        np.testing.assert_allclose(goals(motors, arm)[0], START, atol=2e-3)
        np.testing.assert_allclose(observation.position, START, atol=2e-3)


def test_nothing_jumps_from_start_to_home(bench: Bench, motors: Emulator, arm: Arm) -> None:
    with bench:
        bench.reset()
        steps = np.abs(np.diff(goals(motors, arm), axis=0))
    assert steps.max() <= 1.0 / RATE_HZ + 2e-3  # the speed of the bench's own moves, and a tick of rounding


def test_a_joint_far_out_of_range_refuses_torque(room: Room) -> None:
    bench = build(room, room.add("follower", start=(1.9, 0.5, 0.2)))
    with pytest.raises(OutOfRange, match=r"torque stays off: lift is at 1\.90 rad"), bench:
        pass
    assert torque(room.emulators[0]) == [0, 0, 0]
    assert not room.emulators[0].log


def test_a_motor_in_alert_refuses_torque_and_is_explained(bench: Bench, motors: Emulator) -> None:
    motors.raise_error(2, 1 << 5)
    with pytest.raises(MotorFault, match="torque stays off: flex: overload"), bench:
        pass
    assert torque(motors) == [0, 0, 0]


def test_leaving_without_a_fault_parks_then_releases(bench: Bench, motors: Emulator, arm: Arm) -> None:
    with bench:
        bench.reset()
    assert torque(motors) == [0, 0, 0]
    present = arm.calibration.radians(np.array([motors[motor]["present_position"] for motor in IDS]))
    np.testing.assert_allclose(present, PARK, atol=0.1)
    assert [motors[motor]["bus_watchdog"] for motor in IDS] == [0, 0, 0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TaskFailed("2 of 3 worked"), SystemExit(1)])
def test_an_exit_without_a_fault_parks_too(bench: Bench, motors: Emulator, arm: Arm, error: BaseException) -> None:
    with pytest.raises(type(error)), bench:
        bench.reset()
        raise error
    assert torque(motors) == [0, 0, 0]
    np.testing.assert_allclose(goals(motors, arm)[-1], PARK, atol=2e-3)


def test_leaving_on_an_error_holds_the_last_goal(bench: Bench, motors: Emulator, arm: Arm) -> None:
    pose = row((0.4, 1.1, 0.9))
    with pytest.raises(ZeroDivisionError) as caught, bench:
        bench.reset()
        run(bench, 20, pose)
        raise ZeroDivisionError
    assert torque(motors) == [1, 1, 1]
    np.testing.assert_allclose(goals(motors, arm)[-1], pose, atol=2e-3)
    (note,) = caught.value.__notes__
    assert "holds its pose with torque on" in note and "`ebt doctor --release room`" in note


def test_a_fault_explains_once_how_to_release_the_arm(bench: Bench, motors: Emulator) -> None:
    with pytest.raises(HardwareError) as caught, bench:
        bench.reset()
        motors.unplug()
        for _ in range(20):
            bench.observe()
    hints = [caught.value.hint, *getattr(caught.value, "__notes__", [])]
    assert "\n".join(hints).count("ebt doctor --release room") == 1


def test_a_held_arm_stays_stiff_without_a_host(bench: Bench, room: Room, motors: Emulator) -> None:
    with pytest.raises(ZeroDivisionError), bench:
        bench.reset()
        raise ZeroDivisionError
    room.advance(5.0)
    assert torque(motors) == [1, 1, 1]
    assert [motors[motor]["bus_watchdog"] for motor in IDS] == [0, 0, 0]


def test_a_second_ctrl_c_while_parking_releases_at_once(bench: Bench, room: Room, motors: Emulator) -> None:
    def again() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), bench:
        bench.reset()
        room.on_tick = again
        raise KeyboardInterrupt
    assert torque(motors) == [0, 0, 0]


def test_release_cuts_the_torque_and_nothing_moves_it_afterwards(bench: Bench, motors: Emulator) -> None:
    with bench:
        bench.reset()
        bench.release()
        assert torque(motors) == [0, 0, 0]
        before = len(motors.log)
    assert len(motors.log) == before


def test_an_arm_that_cannot_park_is_held_and_not_dropped(bench: Bench, room: Room, motors: Emulator) -> None:
    with pytest.raises(TrackingLost, match="lift"), bench:
        bench.reset()
        room.horns[0].blocked = True
    assert torque(motors) == [1, 1, 1]


def test_every_device_is_closed_even_when_one_fails_to(room: Room, arm: Arm, bench: Bench) -> None:
    closed: list[str] = []

    def fail() -> None:
        raise HardwareError("stuck")

    for name in ("first", "last"):
        bench.rig.closers.callback(closed.append, name)
        bench.rig.closers.callback(fail)
    with pytest.raises(HardwareError, match="stuck"), bench:
        pass
    assert closed == ["last", "first"]


# A tick


def test_reset_goes_home_and_starts_the_clock_at_zero(bench: Bench) -> None:
    with bench:
        observation = bench.reset()
        assert observation.time_s == 0.0
        np.testing.assert_allclose(observation.position, HOME, atol=0.05)
        bench.act(row(HOME))
        assert bench.wait() == 0
        assert bench.observe().time_s == pytest.approx(1 / RATE_HZ)


def test_an_observation_matches_the_spec(bench: Bench) -> None:
    with bench:
        observation = bench.reset()
    for values in (observation.position, observation.velocity, observation.effort):
        assert values.shape == (len(bench.spec.joints),)
        assert values.dtype == np.float32
    assert observation.read_s >= observation.time_s
    assert not observation.frames
    assert bench.succeeded() is None


def test_act_returns_what_the_motors_were_sent(bench: Bench, motors: Emulator, arm: Arm) -> None:
    with bench:
        bench.reset()
        sent = bench.act(row((0.35, 1.25, 0.95)))
        np.testing.assert_array_equal(goals(motors, arm)[-1], sent.action)
        np.testing.assert_allclose(sent.action, (0.35, 1.25, 0.95), atol=1e-3)
        assert sent.events == ()


def test_a_far_action_is_clipped_and_reported(bench: Bench) -> None:
    with bench:
        bench.reset()
        sent = bench.act(row((9.0, 1.2, 1.0)))
    assert sent.action[0] == pytest.approx(0.3 + 3.0 / RATE_HZ, abs=2e-3)
    assert [event.kind for event in sent.events] == ["limit"]


def test_a_non_finite_action_holds_the_bench(bench: Bench, motors: Emulator) -> None:
    with pytest.raises(UnsafeAction), bench:
        bench.reset()
        bench.act(row((np.nan, 0.0, 0.0)))
    assert torque(motors) == [1, 1, 1]


def test_a_sagging_arm_is_still_held_where_it_was_sent(bench: Bench, room: Room, motors: Emulator, arm: Arm) -> None:
    with bench:
        bench.reset()
        room.horns[0].load = -1.0  # sags by an eighth of a radian
        run(bench, 40, row(HOME))
        assert bench.observe().position[0] < HOME[0] - 0.1
        np.testing.assert_allclose(goals(motors, arm)[-1], HOME, atol=2e-3)
        room.horns[0].load = 0.0


def test_engage_matches_then_moves(bench: Bench, motors: Emulator, arm: Arm) -> None:
    with bench:
        bench.reset()
        first = len(motors.log)
        bench.engage(row((-0.5, 0.2, 0.3)))
        steps = np.abs(np.diff(goals(motors, arm)[first - 1 :], axis=0))
        np.testing.assert_allclose(bench.observe().position, (-0.5, 0.2, 0.3), atol=0.1)
    assert steps.max() <= 1.0 / RATE_HZ + 2e-3


def test_a_joint_that_cannot_get_home_is_named(bench: Bench, room: Room) -> None:
    limits = replace(bench.limits, tracking_rad=np.full(3, 9.0, np.float32))
    loose = Bench(bench.spec, bench.rig, limits, replace(bench.motion, time_limit_s=1.5))
    room.horns[1].blocked = True
    with pytest.raises(HardwareError, match=r"not at home after 1.5 s: flex is 0\.70 rad away"), loose:
        loose.reset()


# Faults


def test_a_muted_motor_is_tolerated_then_held(bench: Bench, motors: Emulator) -> None:
    events: list[Event] = []
    with pytest.raises(ReadsMissed, match="flex missed 4 reads in a row"), bench:
        bench.reset()
        motors.mute(2)
        for _ in range(10):
            bench.observe()
            events += bench.act(row(HOME)).events
            bench.wait()
    assert [event.text for event in events] == ["no answer from flex"]
    assert torque(motors) == [1, 1, 1]


def test_a_single_missed_read_only_leaves_an_event(bench: Bench, motors: Emulator) -> None:
    with bench:
        bench.reset()
        motors.mute(2)
        bench.observe()
        motors.unmute(2)
        assert [event.kind for event in bench.act(row(HOME)).events] == ["stale"]
        run(bench, 20, row(HOME))


def test_an_alert_stops_the_bench_with_its_bits_explained(bench: Bench, motors: Emulator) -> None:
    with pytest.raises(MotorFault, match="gripper: overheating"), bench:
        bench.reset()
        motors.raise_error(3, 1 << 2)
        bench.observe()
    assert torque(motors)[:2] == [1, 1]


def test_a_motor_that_rebooted_is_not_switched_on_again(bench: Bench, motors: Emulator) -> None:
    with pytest.raises(MotorFault, match="flex lost its torque"), bench:
        bench.reset()
        motors[2].reboot()
        run(bench, 40, row(HOME))
    assert torque(motors) == [1, 0, 1]


def test_a_blocked_joint_is_held_where_it_is_blocked(bench: Bench, room: Room, motors: Emulator, arm: Arm) -> None:
    with pytest.raises(TrackingLost, match="lift"), bench:
        bench.reset()
        room.horns[0].blocked = True
        run(bench, 60, row((1.2, 1.2, 1.0)))
    assert torque(motors) == [1, 1, 1]
    assert goals(motors, arm)[-1][0] == pytest.approx(HOME[0], abs=0.05)


def test_a_lost_bus_stops_the_bench(bench: Bench, motors: Emulator) -> None:
    with pytest.raises(BusLost), bench:
        bench.reset()
        motors.unplug()
        bench.observe()


def test_a_bench_that_holds_accepts_no_more_commands(bench: Bench, motors: Emulator) -> None:
    with pytest.raises(HardwareError, match="still holds since: an action must be"), bench:
        bench.reset()
        with pytest.raises(UnsafeAction):
            bench.act(row((np.nan, 0.0, 0.0)))
        with pytest.raises(HardwareError, match="the bench holds since"):
            bench.act(row(HOME))
    assert torque(motors) == [1, 1, 1]


def test_the_watchdog_is_fed_by_every_tick(bench: Bench, motors: Emulator) -> None:
    with bench:
        bench.reset()
        assert [motors[motor]["bus_watchdog"] for motor in IDS] == [25, 25, 25]
        run(bench, 40, row(HOME))
        assert [motors[motor]["bus_watchdog"] for motor in IDS] == [25, 25, 25]


def test_after_a_silence_the_watchdog_is_armed_again_without_a_jump(bench: Bench, room: Room, motors: Emulator) -> None:
    with bench:
        bench.reset()
        room.advance(0.8)
        assert motors[1]["bus_watchdog"] == -1
        bench.observe()
        sent = bench.act(row(HOME))
        assert [event.kind for event in sent.events] == ["gap"]
        assert motors[1]["bus_watchdog"] == 25
        run(bench, 5, row(HOME))


def test_every_motor_is_checked_in_turn(bench: Bench) -> None:
    with bench:
        bench.reset()
        readings = []
        for _ in range(40):
            readings += bench.observe().motors
            bench.act(row(HOME))
            bench.wait()
    assert set(bench.health) == set(bench.spec.joints)
    assert bench.health["lift"].temperature_c == pytest.approx(25, abs=5)
    assert {bench.spec.joints[motor.joint] for motor in readings} == set(
        bench.spec.joints
    )  # each is recorded once, in its row
    assert all((motor.temperature_c, motor.error_bits) == (pytest.approx(25, abs=5), 0) for motor in readings)
