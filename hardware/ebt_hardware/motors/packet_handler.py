"""The SDK's Protocol 2.0 packet handler with its defects corrected.

Defects of dynamixel-sdk 4.1.0 that are overridden here, each shown by a test:
- a packet that needed byte stuffing is sent without it, because `addStuffing` rebinds its argument;
- `removeStuffing` compares with bytes it has already moved, and can remove one that was data;
- `GroupSyncRead` drops the error byte and fails for all motors when one does not reply.
"""

from collections.abc import Callable

from dynamixel_sdk import COMM_RX_TIMEOUT, COMM_SUCCESS, GroupSyncRead, Protocol2PacketHandler

from ebt_hardware.motors.packets import crc16, stuff, unstuff

_BARE_LENGTH = 4  # of a status packet without data: instruction, error, checksum
_BODY = 7  # header, id and length precede the instruction


class PacketHandler(Protocol2PacketHandler):  # type: ignore[misc]  # the SDK ships no types
    """Builds and reads packets."""

    def updateCRC(self, crc_accum: int, data_blk_ptr: list[int], data_blk_size: int) -> int:
        """As the SDK's, without building its table on every call."""
        return crc16(data_blk_ptr[:data_blk_size], crc_accum)

    def addStuffing(self, packet: list[int]) -> list[int]:
        return _rebuild(packet, stuff)

    def removeStuffing(self, packet: list[int]) -> list[int]:
        return _rebuild(packet, unstuff)


class SyncRead(GroupSyncRead):  # type: ignore[misc]  # the SDK ships no types
    """A sync read that keeps each motor's reply even if others do not reply."""

    def __init__(self, port: object, handler: PacketHandler, address: int, length: int, ids: list[int]) -> None:
        super().__init__(port, handler, address, length)
        self.replies: dict[int, tuple[int, bytes]] = {}
        """Error byte and data by id; no data where the motor refused. Motors that did not answer are missing."""
        self.corrupt = 0
        """Corrupted replies of the last read."""
        for motor_id in ids:
            self.addParam(motor_id)

    def rxPacket(self) -> int:
        """Collect replies in any order until all have arrived or the timeout passes."""
        self.replies = {}
        self.corrupt = 0
        expected = self.data_dict
        full_length = self.data_length + 4
        while len(self.replies) < len(expected):
            packet, result = self.ph.rxPacket(self.port, False)
            if result == COMM_RX_TIMEOUT:
                return int(result)
            if result != COMM_SUCCESS:
                self.corrupt += 1
                continue
            motor_id, length = packet[4], packet[5] | packet[6] << 8
            if motor_id not in expected:
                continue
            if length == full_length:
                self.replies[motor_id] = (packet[8], bytes(packet[9 : 9 + self.data_length]))
            elif length == _BARE_LENGTH and packet[8]:
                self.replies[motor_id] = (packet[8], b"")
            # Any other length is a late reply to an earlier request.
        return int(COMM_SUCCESS)


def _rebuild(packet: list[int], change: Callable[[bytes], bytes]) -> list[int]:
    """Change the body in place, as the SDK's callers expect."""
    body = bytes(packet[_BODY:-2])
    changed = change(body)
    if changed != body:
        packet[_BODY:-2] = changed
        length = len(changed) + 2
        packet[5:7] = length & 0xFF, length >> 8
    return packet
