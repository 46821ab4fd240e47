"""Serial ports with emulated motors behind them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from ebt_hardware.motors.port import SerialPort


def make_emulator() -> Emulator:
    return Emulator(EmulatedMotor("XL330-M288", motor_id, FreeShaft()) for motor_id in (1, 2))


@contextmanager
def served(*ports: PtyPort, update: Callable[[float], None] | None = None) -> Iterator[None]:
    stop = threading.Event()
    server = threading.Thread(target=serve_pty, args=(ports, stop, update))
    server.start()
    try:
        yield
    finally:
        stop.set()
        server.join()
        for port in ports:
            port.close()


@contextmanager
def opened(path: str, baudrate: int = 1_000_000) -> Iterator[SerialPort]:
    port = SerialPort(path, baudrate)
    assert port.openPort()
    try:
        yield port
    finally:
        port.closePort()
