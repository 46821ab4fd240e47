"""One arm in radians: its registers, its turns, and goals as whole ticks."""

import numpy as np
import pytest

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.bus import DynamixelBus
from ebt_hardware.motors.calibration import Calibration, JointCalibration
from ebt_hardware.motors.packets import Instruction

MODELS = {1: "XL430-W250", 2: "XL330-M288"}
CALIBRATION = Calibration(
    {
        "lift": JointCalibration(id=1, model=MODELS[1], low=-1.0, high=1.5),
        "gripper": JointCalibration(id=2, model=MODELS[2], low=0.0, high=1.4),
    }
)


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(EmulatedMotor(model, motor, FreeShaft(0.2 * motor)) for motor, model in MODELS.items())


def arm(emulator: Emulator, **registers: dict[str, int]) -> Arm:
    return Arm("follower", DynamixelBus(LoopbackPort(emulator), MODELS), CALIBRATION, registers)


def writes(emulator: Emulator) -> int:
    """Number of write instructions received."""
    return sum(emulator.requests[kind] for kind in (Instruction.WRITE, Instruction.SYNC_WRITE))


def test_only_registers_that_differ_are_written(emulator: Emulator) -> None:
    emulator[2].write(84, (700).to_bytes(2, "little"))
    before = [motor["position_d_gain"] for motor in emulator.motors.values()]
    arm(emulator, lift={"position_p_gain": 650}, gripper={"position_p_gain": 700}).connect()
    assert [motor["position_p_gain"] for motor in emulator.motors.values()] == [650, 700]
    assert [motor["position_d_gain"] for motor in emulator.motors.values()] == before
    written = writes(emulator)
    assert written > 0
    arm(emulator, lift={"position_p_gain": 650}, gripper={"position_p_gain": 700}).connect()
    assert writes(emulator) == written


@pytest.mark.parametrize("turns", [-2, 0, 3])
def test_whole_turns_of_a_multi_turn_motor_are_removed(emulator: Emulator, turns: int) -> None:
    emulator[1].write(11, b"\x04")
    shaft = emulator[1].shaft
    assert isinstance(shaft, FreeShaft)
    shaft.set_position(0.2 + turns * 2 * np.pi)
    connected = arm(emulator)
    connected.connect()
    np.testing.assert_allclose(connected.read().position, [0.2, 0.4], atol=2e-3)
    connected.send(np.array([0.3, 0.5], np.float32))
    assert emulator[1]["goal_position"] == round(2048 + 0.3 * 4096 / (2 * np.pi)) + turns * 4096


def test_a_sent_goal_is_returned_in_whole_ticks(emulator: Emulator) -> None:
    connected = arm(emulator)
    connected.connect()
    requested = np.array([0.1234, 0.5678], np.float32)
    sent = connected.send(requested)
    np.testing.assert_allclose(sent, requested, atol=np.pi / 4096)
    np.testing.assert_array_equal(sent, CALIBRATION.radians(CALIBRATION.ticks(requested)))
    assert [motor["goal_position"] for motor in emulator.motors.values()] == CALIBRATION.ticks(requested).tolist()
