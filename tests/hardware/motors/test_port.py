"""Ports: what they do when a device is absent, taken, slow or gone."""

import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial
from dynamixel_sdk import COMM_RX_TIMEOUT, COMM_SUCCESS, GroupSyncRead, PortHandler, Protocol2PacketHandler

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from ebt_hardware.motors.bus_errors import PortError
from ebt_hardware.motors.packets import frame
from ebt_hardware.motors.port import SerialPort

SDK = Protocol2PacketHandler()


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


def test_a_closed_port_says_so() -> None:
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


def test_a_pty_is_for_this_user_only() -> None:
    pty = PtyPort(make_emulator())
    assert stat.S_IMODE(Path(pty.path).stat().st_mode) == 0o600
    pty.close()


def test_any_dynamixel_program_can_use_the_pty_through_its_link(tmp_path: Path) -> None:
    link = tmp_path / "follower"
    pty = PtyPort(make_emulator(), link)
    with served(pty):
        port = PortHandler("/dev/null")  # the SDK's own, unchanged
        port.setPortName(str(link))
        assert port.openPort()
        read = GroupSyncRead(port, SDK, 132, 4)
        read.addParam(1)
        read.addParam(2)
        assert read.txRxPacket() == COMM_SUCCESS
        assert [read.getData(motor_id, 132, 4) for motor_id in (1, 2)] == [2048, 2048]
        port.closePort()
    assert not link.is_symlink()


def test_a_client_may_leave_and_the_next_one_comes() -> None:
    pty = PtyPort(make_emulator())
    with served(pty):
        for _ in range(3):
            with opened(pty.path) as port:
                assert SDK.ping(port, 1)[1] == COMM_SUCCESS


def test_a_client_that_never_reads_does_not_stop_the_server() -> None:
    deaf, fine = PtyPort(make_emulator()), PtyPort(make_emulator())
    with served(deaf, fine), opened(deaf.path) as one, opened(fine.path) as other:
        for _ in range(100):
            one.writePort(list(frame(0xFE, b"\x82\x00\x00\x8c\x00\x01\x02")))  # sync read of nearly everything
        assert SDK.ping(other, 2)[1] == COMM_SUCCESS


def test_unplugging_hangs_up_and_plugging_in_serves_the_same_link(tmp_path: Path) -> None:
    emulator = make_emulator()
    link = tmp_path / "leader"
    pty = PtyPort(emulator, link)
    with opened(str(link)) as port:
        emulator.unplug()
        pty.service()
        assert pty.path == ""
        assert pty.fileno() == -1
        with pytest.raises(OSError):
            port.readPort(1)
    with pytest.raises(PortError):
        SerialPort(str(link)).openPort()
    emulator.plug()
    pty.service()
    with served(pty), opened(str(link)) as port:
        assert SDK.ping(port, 1)[1] == COMM_SUCCESS


def test_serving_lets_time_pass_in_real_time() -> None:
    emulator = make_emulator()
    passed = threading.Event()

    def update(dt_s: float) -> None:
        emulator.update(dt_s)
        if emulator.time_s > 0.05:
            passed.set()

    pty = PtyPort(emulator)
    start = time.monotonic()
    with served(pty, update=update):
        assert passed.wait(5)
        assert emulator.time_s <= time.monotonic() - start


def _serve(path: "multiprocessing.Queue[str]", stop: threading.Event) -> None:
    pty = PtyPort(make_emulator())
    path.put(pty.path)
    serve_pty([pty], stop)
    pty.close()


def test_a_bus_can_be_served_from_another_process() -> None:
    context = multiprocessing.get_context("spawn")
    path = context.Queue()
    stop = context.Event()
    server = context.Process(target=_serve, args=(path, stop))
    server.start()
    try:
        with opened(path.get(timeout=30)) as port:
            assert SDK.ping(port, 1)[1] == COMM_SUCCESS
    finally:
        stop.set()
        server.join(10)
    assert server.exitcode == 0


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
