import pytest

from ebt_hardware.emulator.registers import END, Registers
from ebt_hardware.motors.control_table import load_table
from ebt_hardware.motors.packets import StatusError

TORQUE, GOAL, PRESENT, MIN_LIMIT, PROFILE = 64, 116, 132, 52, 108


@pytest.fixture
def registers() -> Registers:
    return Registers(load_table("XL330-M288"), 7)


def four(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def test_values_go_in_as_bytes_and_come_out_by_name(registers: Registers) -> None:
    assert registers.store(PROFILE, four(11) + four(22)) == (
        StatusError.NONE,
        ["profile_acceleration", "profile_velocity"],
    )
    assert (registers["profile_acceleration"], registers["profile_velocity"], registers["id"]) == (11, 22, 7)


@pytest.mark.parametrize(
    ("address", "data", "error"),
    [
        (PRESENT, four(0), StatusError.ACCESS),
        (GOAL, b"\x00\x00", StatusError.LENGTH),
        (GOAL, four(5000), StatusError.LIMIT),
        (TORQUE, b"\x02", StatusError.RANGE),
        (END - 1, b"\x00\x00", StatusError.ACCESS),
    ],
)
def test_a_write_that_is_refused_changes_nothing(
    registers: Registers, address: int, data: bytes, error: StatusError
) -> None:
    before = bytes(registers.memory)
    assert registers.store(address, data) == (error, [])
    assert registers.memory == before


def test_with_torque_on_only_ram_can_be_written(registers: Registers) -> None:
    assert registers.store(MIN_LIMIT, four(100))[0] is StatusError.NONE
    registers.store(TORQUE, b"\x01")
    assert registers.store(MIN_LIMIT, four(200))[0] is StatusError.ACCESS
    assert registers.store(GOAL, four(300))[0] is StatusError.NONE


def test_without_power_ram_is_forgotten_and_eeprom_is_not(registers: Registers) -> None:
    registers.store(MIN_LIMIT, four(100))
    registers.store(TORQUE, b"\x01")
    registers.power_cycle()
    assert (registers["min_position_limit"], registers.torque) == (100, False)
