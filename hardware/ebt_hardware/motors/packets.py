"""Protocol 2.0 packets: frames, CRC and byte stuffing.

https://emanual.robotis.com/docs/en/dxl/protocol2/
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

HEADER = b"\xff\xff\xfd\x00"
BROADCAST = 0xFE
_PREFIX = 7  # header, id, length
_LONGEST = 1024  # longest that the SDK sends and accepts
_TRIGGER = b"\xff\xff\xfd"  # would look like a header inside a packet, so another FD follows it


class Instruction(IntEnum):
    """The instruction of a packet."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    REBOOT = 0x08
    STATUS = 0x55
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83
    BULK_READ = 0x92
    BULK_WRITE = 0x93


class StatusError(IntEnum):
    """The low seven bits of a status packet's error byte."""

    NONE = 0
    RESULT = 1
    INSTRUCTION = 2
    CRC = 3
    RANGE = 4
    LENGTH = 5
    LIMIT = 6
    ACCESS = 7


ALERT = 0x80
"""The error byte's top bit: read Hardware Error Status."""


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x8005 if crc & 0x8000 else 0)
        table.append(crc & 0xFFFF)
    return tuple(table)


_TABLE = _crc_table()


def crc16(data: Iterable[int], start: int = 0) -> int:
    """CRC-16 with polynomial 0x8005, as ROBOTIS computes it: https://emanual.robotis.com/docs/en/dxl/crc/."""
    crc = start
    table = _TABLE
    for byte in data:
        crc = (crc << 8 & 0xFF00) ^ table[crc >> 8 ^ byte]
    return crc


def stuff(body: bytes) -> bytes:
    """Double the FD after every FF FF."""
    return body.replace(_TRIGGER, b"\xff\xff\xfd\xfd") if _TRIGGER in body else body


def unstuff(body: bytes) -> bytes:
    """Undo `stuff`."""
    return body.replace(b"\xff\xff\xfd\xfd", _TRIGGER) if _TRIGGER in body else body


_HEADER_CRC = crc16(HEADER)


def frame(motor_id: int, body: bytes) -> bytes:
    """A complete packet; `body` is instruction and parameters."""
    body = stuff(body)
    length = len(body) + 2
    tail = bytes((motor_id, length & 0xFF, length >> 8)) + body
    crc = crc16(tail, _HEADER_CRC)
    return HEADER + tail + bytes((crc & 0xFF, crc >> 8))


@dataclass(frozen=True, slots=True)
class Packet:
    """One received frame."""

    id: int
    instruction: int
    parameters: bytes
    valid: bool
    """False where the CRC does not match."""


class Framer:
    """Cuts a byte stream into packets, and finds the next header after noise."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Packets completed by `data`."""
        self._buffer += data
        while (packet := self._next()) is not None:
            yield packet

    def _next(self) -> Packet | None:
        buffer = self._buffer
        while True:
            start = buffer.find(HEADER)
            if start < 0:
                del buffer[: max(0, len(buffer) - 3)]  # the header may be incomplete
                return None
            del buffer[:start]
            if len(buffer) < _PREFIX:
                return None
            length = buffer[5] | buffer[6] << 8
            if not 3 <= length <= _LONGEST:
                del buffer[:4]
                continue
            if len(buffer) < _PREFIX + length:
                return None
            return self._take(length)

    def _take(self, length: int) -> Packet:
        buffer = self._buffer
        end = _PREFIX + length
        data = bytes(buffer[:end])
        valid = crc16(data[:-2]) == data[-2] | data[-1] << 8
        # After a corrupted packet only its header is skipped: its length field may be wrong.
        del buffer[: end if valid else 4]
        body = unstuff(data[_PREFIX:-2])
        return Packet(data[4], body[0], body[1:], valid)
