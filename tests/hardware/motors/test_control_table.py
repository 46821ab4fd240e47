"""Registers as ROBOTIS ships them."""

import pytest

from ebt_data.errors import ConfigError, HardwareError
from ebt_hardware.motors.control_table import MODELS, load_table, model_name


@pytest.mark.parametrize("model", MODELS)
def test_the_registers_of_the_loop_lie_together_in_every_model(model: str) -> None:
    table = load_table(model)
    effort = "present_load" if table.current_a is None else "present_current"
    assert [(table.register(name).address, table.register(name).size) for name in (effort, "present_velocity")] == [
        (126, 2),
        (128, 4),
    ]
    assert (table.register("present_position").address, table.register("present_position").end) == (132, 136)
    assert (table.register("goal_position").address, table.register("goal_position").signed) == (116, True)
    assert table.register("bus_watchdog").address == 98


def test_an_xl430_reports_load_and_has_no_current() -> None:
    table = load_table("xl430-w250")
    assert table.model == "XL430-W250"
    assert table.number == 1060
    assert "goal_current" not in table.registers
    assert "current_limit" not in table.registers
    assert table.effort_scale == pytest.approx(0.001)
    assert 5 not in table.modes


def test_currents_have_the_models_own_unit() -> None:
    assert load_table("XL330-M288").effort_scale == pytest.approx(0.001)
    assert load_table("XM430-W350").effort_scale == pytest.approx(0.00269)


def test_what_a_motor_measures_is_read_only() -> None:
    registers = load_table("XL330-M077").registers.values()
    assert not any(register.writable for register in registers if register.name.startswith("present_"))
    assert not load_table("XL330-M077").register("hardware_error_status").writable


def test_values_are_little_endian_and_signed_where_they_can_be_negative() -> None:
    register = load_table("XL430-W250").register("goal_position")
    assert register.encode(-2) == b"\xfe\xff\xff\xff"
    assert register.decode(b"\xfe\xff\xff\xff") == -2


def test_a_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(HardwareError, match="profile_velocity has 4 bytes and cannot hold -1"):
        load_table("XL430-W250").register("profile_velocity").encode(-1)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown motor model 'MX-28'; known: XL430-W250, XL330-M288"):
        load_table("MX-28")


def test_models_without_a_table_here_still_have_a_name() -> None:
    assert model_name(1200) == "XL330-M288"
    assert model_name(1000) == "XH430-W350"
    assert model_name(9) == "model 9"
