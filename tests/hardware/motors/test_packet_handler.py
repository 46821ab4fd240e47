"""The corrected packet handler compared with the SDK's."""

import random

import pytest
from dynamixel_sdk import COMM_RX_CORRUPT, COMM_SUCCESS, GroupSyncRead, PortHandler, Protocol2PacketHandler

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.packet_handler import PacketHandler, SyncRead
from ebt_hardware.motors.packets import crc16, frame, stuff, unstuff


def open_port(ids: tuple[int, ...] = (1, 2, 3)) -> LoopbackPort:
    port = LoopbackPort(Emulator(EmulatedMotor("XL430-W250", motor_id, FreeShaft()) for motor_id in ids))
    port.openPort()
    return port


def test_the_checksum_is_the_sdks() -> None:
    data = random.Random(0).randbytes(500)
    for length in (0, 1, 2, 11, 500):
        assert crc16(data[:length]) == Protocol2PacketHandler().updateCRC(0, data, length)


def test_stuffing_is_undone_whatever_the_bytes() -> None:
    source = random.Random(0)
    for _ in range(2000):
        body = bytes(source.choice((0xFF, 0xFF, 0xFD, 0x00)) for _ in range(source.randrange(12)))
        assert unstuff(stuff(body)) == body
        assert b"\xff\xff\xfd\x00" not in stuff(body)


class RecordingPort(PortHandler):  # type: ignore[misc]  # the SDK ships no types
    def __init__(self) -> None:
        super().__init__("recording")
        self.sent = b""

    def clearPort(self) -> None: ...

    def writePort(self, packet: list[int]) -> int:
        self.sent += bytes(packet)
        return len(packet)


@pytest.mark.parametrize(("handler", "right"), [(Protocol2PacketHandler(), False), (PacketHandler(), True)])
def test_the_sdk_loses_its_stuffing_and_ours_does_not(handler: Protocol2PacketHandler, right: bool) -> None:
    data = [0xFF, 0xFF, 0xFD, 0x00]
    port = RecordingPort()
    handler.writeTxOnly(port, 1, 116, 4, data)
    assert (port.sent == frame(1, bytes((0x03, 116, 0, *data)))) is right


def test_the_sdk_takes_out_a_byte_too_many_and_ours_does_not() -> None:
    data = b"\xff\xff\xfd\x00\xff\xfd\xfd"  # a stuffed header, then bytes that only look stuffed once moved
    packet = list(frame(1, b"\x55\x00" + data))
    assert bytes(PacketHandler().removeStuffing(list(packet))[9:16]) == data
    assert bytes(Protocol2PacketHandler().removeStuffing(list(packet))[9:16]) != data


def test_the_sdk_loses_all_replies_with_one_silent_motor_and_ours_does_not() -> None:
    port = open_port()
    port.emulator.mute(2)
    stock = GroupSyncRead(port, Protocol2PacketHandler(), 132, 4)
    for motor_id in (1, 2, 3):
        stock.addParam(motor_id)
    assert stock.txRxPacket() != COMM_SUCCESS
    assert not stock.isAvailable(3, 132, 4)
    read = SyncRead(port, PacketHandler(), 132, 4, [1, 2, 3])
    read.txRxPacket()
    assert read.replies.keys() == {1, 3}


def test_a_sync_read_keeps_the_error_byte() -> None:
    port = open_port()
    port.emulator.raise_error(3, 0b100)
    read = SyncRead(port, PacketHandler(), 132, 4, [1, 2, 3])
    assert read.txRxPacket() == COMM_SUCCESS
    assert {motor_id: error for motor_id, (error, _) in read.replies.items()} == {1: 0, 2: 0, 3: 128}


def test_a_late_reply_to_another_request_is_not_accepted() -> None:
    port = open_port((1,))
    read = SyncRead(port, PacketHandler(), 132, 4, [1])
    assert read.txPacket() == COMM_SUCCESS
    port._buffer = frame(1, b"\x55\x00" + bytes(10)) + port._buffer  # the reply to a longer read, one tick late
    assert read.rxPacket() == COMM_SUCCESS
    assert read.replies[1] == (0, (2048).to_bytes(4, "little"))


def test_replies_after_a_damaged_one_are_still_read() -> None:
    port = open_port()
    read = SyncRead(port, PacketHandler(), 132, 4, [1, 2, 3])
    assert read.txPacket() == COMM_SUCCESS
    damaged = bytearray(port._buffer)
    damaged[10] ^= 0xFF
    port._buffer = bytes(damaged)
    assert read.rxPacket() != COMM_RX_CORRUPT
    assert read.replies.keys() == {2, 3}
    assert read.corrupt == 1
