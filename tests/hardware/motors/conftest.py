"""A bus of emulated motors, in memory and on a real terminal device."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from dynamixel_sdk import PortHandler

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from ebt_hardware.motors.bus import DynamixelBus
from ebt_hardware.motors.port import SerialPort

MODELS = {1: "XL430-W250", 2: "XL430-W250", 3: "XL330-M288", 4: "XL330-M288"}


@dataclass
class Rig:
    emulator: Emulator
    bus: DynamixelBus
    open_port: Callable[[], PortHandler]

    def shaft(self, motor_id: int) -> FreeShaft:
        shaft = self.emulator[motor_id].shaft
        assert isinstance(shaft, FreeShaft)
        return shaft

    def pass_time(self, seconds: float) -> None:
        self.bus.read()  # an answer means that everything sent before has arrived, on a terminal too
        for _ in range(round(seconds / 0.01)):
            self.emulator.update(0.01)


@pytest.fixture(params=["loopback", "pty"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    emulator = Emulator(EmulatedMotor(model, motor_id, FreeShaft(0.1 * motor_id)) for motor_id, model in MODELS.items())
    if request.param == "loopback":
        bus = DynamixelBus(LoopbackPort(emulator), MODELS)
        bus.connect()
        yield Rig(emulator, bus, lambda: LoopbackPort(emulator))
        bus.close()
        return
    pty = PtyPort(emulator)
    stop = threading.Event()
    server = threading.Thread(target=serve_pty, args=([pty], stop))
    server.start()
    path = pty.path
    bus = DynamixelBus(SerialPort(path), MODELS)
    try:
        bus.connect()
        yield Rig(emulator, bus, lambda: SerialPort(path))
    finally:
        bus.close()
        stop.set()
        server.join()
        pty.close()
