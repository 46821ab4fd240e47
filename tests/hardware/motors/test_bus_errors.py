"""Bus errors name the motors concerned."""

import numpy as np
import pytest

from ebt_data.errors import HardwareError
from ebt_hardware.motors.bus import DynamixelBus, MotorSilent, Refused
from tests.hardware.motors.conftest import Rig


def test_a_locked_register_is_a_clear_error_and_the_others_are_still_written(rig: Rig) -> None:
    rig.bus.write("torque_enable", {2: 1})
    with pytest.raises(
        Refused, match=r"operating_mode was refused on .*: motor 2: .*locked while torque is on"
    ) as info:
        rig.bus.write("operating_mode", 4)
    assert isinstance(info.value, HardwareError)
    assert "torque off" in info.value.hint
    assert rig.bus.read_register("operating_mode") == {1: 4, 2: 3, 3: 4, 4: 4}


def test_a_register_that_only_newer_firmware_has_is_not_called_silence(rig: Rig) -> None:
    rig.bus.close()
    bus = DynamixelBus(rig.open_port(), {1: "XM540-W270", 2: "XM540-W270"})
    bus.port.openPort()  # not `connect`: these are other motors, without external ports
    with pytest.raises(
        Refused, match=r"external_port_data_1 was refused on .*: motors 1, 2: the register is read-only"
    ):
        bus.read_register("external_port_data_1")
    bus.close()


def test_a_motor_that_shut_down_refuses_torque_until_it_reboots(rig: Rig) -> None:
    rig.emulator.raise_error(1, 0b100)
    with pytest.raises(Refused, match="motor 1: it failed, as after a shutdown"):
        rig.bus.set_torque(True)
    np.testing.assert_array_equal(rig.bus.torque(), [False, True, True, True])
    rig.emulator[1].reboot()
    rig.bus.set_torque(True)
    assert rig.bus.torque().all()


def test_all_silent_motors_are_named_at_once_with_what_was_found(rig: Rig) -> None:
    rig.bus.close()
    bus = DynamixelBus(rig.open_port(), {1: "XL430-W250", 7: "XL330-M288", 9: "XL330-M288"})
    with pytest.raises(MotorSilent, match="motors 7, 9 do not answer; found motors 1, 2, 3, 4") as info:
        bus.connect()
    assert info.value.missing == (7, 9)
    assert info.value.found == (1, 2, 3, 4)
    rig.bus.connect()  # the port was given back
