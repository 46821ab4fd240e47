"""Serial ports: what they do when a device is absent, taken, slow or gone."""

import os
import time
from pathlib import Path

import pytest
import serial
from dynamixel_sdk import COMM_RX_TIMEOUT, COMM_SUCCESS, Protocol2PacketHandler

from ebt_hardware.emulator.pty_port import PtyPort
from ebt_hardware.motors.bus_errors import PortError
from ebt_hardware.motors.port import SerialPort
from tests.hardware.conftest import make_emulator, opened, served

SDK = Protocol2PacketHandler()


def test_an_absent_device_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PortError, match=r"cannot open .*ttyUSB7: No such file") as info:
        SerialPort(str(tmp_path / "ttyUSB7")).openPort()
    assert "ebt doctor" in info.value.hint


def test_a_file_that_is_no_terminal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PortError, match=r"cannot open .*notes\.txt"):
        SerialPort(str(tmp_path / "notes.txt")).openPort()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_forbidden_device_says_which_group_is_missing(tmp_path: Path) -> None:
    (tmp_path / "tty").touch(mode=0)
    with pytest.raises(PortError, match="Permission denied") as info:
        SerialPort(str(tmp_path / "tty")).openPort()
    assert "dialout" in info.value.hint


def test_a_second_program_cannot_open_the_port() -> None:
    pty = PtyPort(make_emulator())
    with served(pty), opened(pty.path) as first:
        with pytest.raises(PortError, match="cannot open") as info:
            SerialPort(pty.path).openPort()
        assert "another program" in info.value.hint
        assert SDK.ping(first, 1)[1] == COMM_SUCCESS, "the first is not disturbed"


@pytest.mark.parametrize("baudrate", [57_600, 1_000_000, 4_000_000, 4_500_000])
def test_every_rate_of_an_x_series_motor_can_be_opened(baudrate: int) -> None:
    pty = PtyPort(make_emulator())
    with served(pty), opened(pty.path, baudrate) as port:
        assert port.getBaudRate() == baudrate
        assert port.tx_time_per_byte == pytest.approx(10_000 / baudrate)
        assert SDK.ping(port, 1)[1] == COMM_SUCCESS


def test_waiting_for_a_silent_motor_takes_the_sdks_time_but_no_processor() -> None:
    pty = PtyPort(make_emulator())
    with served(pty), opened(pty.path) as port:
        SDK.ping(port, 1)
        wall, processor = time.monotonic(), time.thread_time()
        assert SDK.ping(port, 9)[1] == COMM_RX_TIMEOUT
        assert time.monotonic() - wall >= 0.034
        assert time.thread_time() - processor < 0.01


def test_a_pty_has_no_latency_timer_and_that_is_no_error() -> None:
    pty = PtyPort(make_emulator())
    with served(pty), opened(pty.path) as port:
        assert not port.low_latency


def test_a_closed_port_raises() -> None:
    port = SerialPort("/dev/null")
    with pytest.raises(serial.SerialException, match="not open"):
        port.writePort([1])
    port.closePort()


def test_opening_again_forgets_what_had_come_in() -> None:
    pty = PtyPort(make_emulator())
    with served(pty), opened(pty.path) as port:
        SDK.syncReadTx(port, 132, 4, [1, 2], 2, False)
        port.is_using = False
        port.openPort()
        assert SDK.ping(port, 1)[1] == COMM_SUCCESS
