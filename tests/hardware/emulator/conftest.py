"""Two emulated motors on a bus, tested with the SDK's packet handler."""

import pytest
from dynamixel_sdk import COMM_SUCCESS, Protocol2PacketHandler

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort

SDK = Protocol2PacketHandler()
RANGE, LENGTH, LIMIT, ACCESS = 4, 5, 6, 7


class Bench:
    """Motor 1 is an XL430, motor 2 an XL330, both without a load."""

    def __init__(self) -> None:
        self.shafts = {1: FreeShaft(), 2: FreeShaft()}
        self.emulator = Emulator(
            [EmulatedMotor("XL430-W250", 1, self.shafts[1]), EmulatedMotor("XL330-M288", 2, self.shafts[2])]
        )
        self.port = LoopbackPort(self.emulator)
        self.port.openPort()

    def write(self, motor_id: int, register: str, value: int) -> int:
        """Write with the SDK; gives the error byte."""
        place = self.emulator[motor_id].table.register(register)
        result, error = SDK.writeTxRx(self.port, motor_id, place.address, place.size, list(place.encode(value)))
        assert result == COMM_SUCCESS
        return int(error)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.emulator.update(0.01)

    def hold(self, motor_id: int) -> None:
        self.write(motor_id, "goal_position", self.emulator[motor_id]["present_position"])
        assert self.write(motor_id, "torque_enable", 1) == 0


@pytest.fixture
def bench() -> Bench:
    return Bench()
