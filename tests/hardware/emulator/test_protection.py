"""Faults that an emulated motor detects in itself."""

from dynamixel_sdk import COMM_SUCCESS

from tests.hardware.emulator.conftest import SDK, Bench


def test_overload_heats_a_motor_and_shuts_it_down(bench: Bench) -> None:
    bench.shafts[1].blocked = True
    bench.hold(1)
    bench.write(1, "goal_position", 4000)
    bench.pass_time(4.0)
    assert bench.emulator[1]["hardware_error_status"] == 0
    assert bench.emulator[1]["present_temperature"] > 25
    bench.pass_time(2.0)
    assert bench.emulator[1]["hardware_error_status"] == 0b10_0000
    assert bench.emulator[1]["torque_enable"] == 0
    assert SDK.read1ByteTxRx(bench.port, 1, 64) == (0, COMM_SUCCESS, 128)
    assert bench.write(1, "torque_enable", 1) == 128 | 1
    assert SDK.reboot(bench.port, 1)[0] == COMM_SUCCESS
    assert bench.write(1, "torque_enable", 1) == 0


def test_a_supply_out_of_range_is_detected(bench: Bench) -> None:
    bench.hold(2)
    bench.emulator[2].voltage_v = 3.0
    bench.pass_time(0.2)
    assert bench.emulator[2]["present_input_voltage"] == 30
    assert bench.emulator[2]["hardware_error_status"] == 1
    assert bench.emulator[2]["torque_enable"] == 0, "an XL330 shuts down for it"
