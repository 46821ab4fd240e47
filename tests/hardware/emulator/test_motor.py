"""One emulated motor: goals, profiles, modes, offsets and its watchdog."""

import pytest

from ebt_hardware.emulator.emulator import EmulatedMotor, FreeShaft
from ebt_hardware.motors.control_table import MODELS, RAD_PER_TICK, load_table
from tests.hardware.emulator.conftest import RANGE, SDK, Bench


@pytest.mark.parametrize("model", MODELS)
def test_every_known_model_can_be_emulated(model: str) -> None:
    motor = EmulatedMotor(model, 9, FreeShaft())
    assert motor["model_number"] == load_table(model).number
    assert motor["present_position"] == 2048
    assert motor["id"] == 9


def test_torque_on_goes_to_the_goal_that_was_set_before(bench: Bench) -> None:
    bench.write(1, "goal_position", 2148)
    bench.pass_time(0.2)
    assert bench.emulator[1]["present_position"] == 2048
    bench.write(1, "torque_enable", 1)
    bench.pass_time(1.0)
    assert bench.emulator[1]["present_position"] == pytest.approx(2148, abs=1)


def test_the_profile_velocity_is_kept(bench: Bench) -> None:
    bench.write(1, "operating_mode", 4)
    bench.write(1, "profile_velocity", 50)  # 11.45 rev/min, 781.7 ticks/s
    bench.hold(1)
    bench.write(1, "goal_position", 2048 + 4000)
    bench.pass_time(1.0)
    before = bench.emulator[1]["present_position"]
    bench.pass_time(1.0)
    assert bench.emulator[1]["present_position"] - before == pytest.approx(781.7, abs=2)
    assert bench.emulator[1]["present_velocity"] == pytest.approx(50, abs=1)
    assert bench.emulator[1]["moving"] == 1
    bench.pass_time(5.0)
    assert bench.emulator[1]["present_position"] == 6048
    assert bench.emulator[1]["moving"] == 0


def test_a_time_based_profile_arrives_at_its_set_time(bench: Bench) -> None:
    bench.write(1, "drive_mode", 4)
    bench.write(1, "profile_velocity", 1000)
    bench.write(1, "profile_acceleration", 250)
    bench.hold(1)
    bench.write(1, "goal_position", 3048)
    bench.pass_time(0.5)
    assert bench.emulator[1]["position_trajectory"] == pytest.approx(2548, abs=10)
    bench.pass_time(0.45)
    assert bench.emulator[1]["position_trajectory"] < 3048
    bench.pass_time(0.07)
    assert bench.emulator[1]["position_trajectory"] == 3048


def test_homing_offset_and_reverse_move_what_is_read_and_where_it_goes(bench: Bench) -> None:
    bench.shafts[1].set_position(500 * RAD_PER_TICK)
    assert bench.emulator[1]["present_position"] == 2548
    bench.write(1, "drive_mode", 1)
    assert bench.emulator[1]["present_position"] == 2048 - 500
    bench.write(1, "homing_offset", 100)
    assert bench.emulator[1]["present_position"] == 2048 - 500 + 100
    bench.write(1, "homing_offset", 1025)
    assert bench.emulator[1]["present_position"] == 2048 - 500, "beyond 1024 it is ignored in position mode"
    bench.write(1, "homing_offset", 100)
    bench.hold(1)
    bench.write(1, "goal_position", 2148)
    bench.pass_time(1.0)
    assert bench.shafts[1].position() == pytest.approx(0.0, abs=RAD_PER_TICK)


def test_position_mode_counts_one_turn_and_multi_turn_mode_continues(bench: Bench) -> None:
    bench.shafts[1].set_position(2100 * RAD_PER_TICK)
    assert bench.emulator[1]["present_position"] == 2048 + 2100 - 4096
    bench.shafts[1].set_position(0.0)
    bench.write(1, "operating_mode", 4)
    bench.shafts[1].set_position(10_000 * RAD_PER_TICK)
    assert bench.emulator[1]["present_position"] == 12_048
    bench.emulator[1].reboot()
    assert bench.emulator[1]["present_position"] == 12_048 % 4096, "turns are forgotten without power"


def test_goal_current_limits_the_push_in_mode_5(bench: Bench) -> None:
    bench.write(2, "operating_mode", 5)
    bench.write(2, "goal_current", 147)  # mA, a tenth of stall
    bench.shafts[2].blocked = True
    bench.hold(2)
    bench.write(2, "goal_position", 4000)
    bench.pass_time(0.5)
    assert bench.emulator[2]["present_current"] == pytest.approx(147, abs=1)


def test_velocity_mode_turns_forever(bench: Bench) -> None:
    bench.write(1, "operating_mode", 1)
    bench.write(1, "torque_enable", 1)
    bench.write(1, "goal_velocity", -100)
    bench.pass_time(3.0)
    assert bench.emulator[1]["present_velocity"] == pytest.approx(-100, abs=3)
    assert bench.emulator[1]["present_position"] < -2500


def test_current_mode_pushes_with_its_goal_current(bench: Bench) -> None:
    bench.write(2, "operating_mode", 0)
    bench.shafts[2].blocked = True
    bench.write(2, "torque_enable", 1)
    bench.write(2, "goal_current", -294)
    bench.pass_time(0.1)
    assert bench.emulator[2]["present_current"] == pytest.approx(-294, abs=1)


def test_only_faults_in_the_shutdown_mask_take_the_torque(bench: Bench) -> None:
    bench.write(1, "shutdown", 0)
    bench.hold(1)
    bench.emulator.raise_error(1, 0b100)
    assert bench.emulator[1]["torque_enable"] == 1
    assert SDK.ping(bench.port, 1)[2] == 128


def test_a_bus_watchdog_counts_only_with_torque_on_and_locks_all_goals(bench: Bench) -> None:
    bench.write(1, "bus_watchdog", 5)
    bench.pass_time(1.0)
    assert bench.emulator[1]["bus_watchdog"] == 5
    bench.hold(1)
    bench.pass_time(0.09)
    assert bench.emulator[1]["bus_watchdog"] == 5
    bench.pass_time(0.03)
    assert bench.emulator[1]["bus_watchdog"] == -1
    for register in ("goal_position", "goal_velocity", "goal_pwm"):
        assert bench.write(1, register, 100) == RANGE
    assert bench.write(1, "bus_watchdog", 5) == RANGE, "only 0 clears it"
    assert bench.write(1, "bus_watchdog", 0) == 0
    assert bench.write(1, "goal_position", 100) == 0
