"""Emulated motors at the other end of a function call."""

import time

import pytest
import serial
from dynamixel_sdk import COMM_RX_TIMEOUT, COMM_SUCCESS, Protocol2PacketHandler

from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.bus_errors import PortError
from tests.hardware.conftest import make_emulator

SDK = Protocol2PacketHandler()


def test_in_memory_a_time_out_passes_at_once() -> None:
    port = LoopbackPort(make_emulator())
    port.openPort()
    start = time.monotonic()
    for _ in range(20):
        assert SDK.ping(port, 9)[1] == COMM_RX_TIMEOUT
    assert len(SDK.broadcastPing(port)[0]) == 2
    assert time.monotonic() - start < 0.3, "the SDK alone would take 1.5 s"


def test_in_memory_too_a_pulled_plug_is_for_good_until_opened_again() -> None:
    emulator = make_emulator()
    port = LoopbackPort(emulator)
    port.openPort()
    emulator.unplug()
    with pytest.raises(PortError, match="unplugged"):
        LoopbackPort(emulator).openPort()
    emulator.plug()
    with pytest.raises(serial.SerialException, match="gone"):
        port.writePort([1])
    port.openPort()
    assert SDK.ping(port, 1)[1] == COMM_SUCCESS
