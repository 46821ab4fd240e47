"""Emulated motors behind a pseudo-terminal, for any program."""

import multiprocessing
import stat
import threading
import time
from pathlib import Path

import pytest
from dynamixel_sdk import COMM_SUCCESS, GroupSyncRead, PortHandler, Protocol2PacketHandler

from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from ebt_hardware.motors.bus_errors import PortError
from ebt_hardware.motors.packets import frame
from ebt_hardware.motors.port import SerialPort
from tests.hardware.conftest import make_emulator, opened, served

SDK = Protocol2PacketHandler()


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
    unread, other_pty = PtyPort(make_emulator()), PtyPort(make_emulator())
    with served(unread, other_pty), opened(unread.path) as port, opened(other_pty.path) as other:
        for _ in range(100):
            port.writePort(list(frame(0xFE, b"\x82\x00\x00\x8c\x00\x01\x02")))  # sync read of nearly everything
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
