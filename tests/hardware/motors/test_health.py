"""A motor's status in words."""

import numpy as np
import pytest

from ebt_hardware.motors.health import explain
from tests.hardware.motors.conftest import MODELS, Rig


def test_a_fault_raises_the_alert_and_health_explains_it(rig: Rig) -> None:
    rig.bus.set_torque(True)
    rig.emulator.raise_error(3, 0b10_0000)
    np.testing.assert_array_equal(rig.bus.read().alert, [False, False, True, False])
    health = rig.bus.health()
    assert health[1].errors == ()
    assert health[3].errors == ("overload: it pushed at full effort for too long",)
    assert health[1].temperature_c == pytest.approx(25.0)
    assert health[1].voltage_v == pytest.approx(12.0)
    assert health[3].voltage_v == pytest.approx(5.0)
    assert [health[motor_id].torque for motor_id in MODELS] == [True, True, False, True]
    assert rig.bus.health([3]) == {3: health[3]}


def test_every_error_bit_is_explained() -> None:
    assert explain(0) == ()
    assert explain(0b100_0101) == ("input voltage out of range", "overheating", "unknown fault bit 6")
    assert len(set(explain(0xFF))) == 8
