import pytest

from ebt_hardware.motors.packets import Framer, Instruction, Packet, frame


def test_a_ping_is_the_e_manuals_bytes() -> None:
    # https://emanual.robotis.com/docs/en/dxl/protocol2/, Ping, example of an instruction packet for ID 1
    assert frame(1, bytes([Instruction.PING])) == bytes.fromhex("FF FF FD 00 01 03 00 01 19 4E")


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_packets_are_found_however_the_bytes_are_cut(piece: int) -> None:
    stream = b"\xff\xff" + frame(1, b"\x02\xff\xff\xfd") + b"noise\xff" + frame(2, b"\x01")
    framer = Framer()
    found = [packet for at in range(0, len(stream), piece) for packet in framer.feed(stream[at : at + piece])]
    assert found == [Packet(1, Instruction.READ, b"\xff\xff\xfd", True), Packet(2, Instruction.PING, b"", True)]


def test_a_damaged_packet_hides_none_behind_it() -> None:
    damaged = bytearray(frame(1, b"\x02\x84\x00\x04\x00"))
    damaged[5] += 20  # its length reaches into the next packet
    found = list(Framer().feed(bytes(damaged) + frame(2, b"\x01") + frame(3, b"\x01") + frame(4, b"\x01")))
    assert [packet.id for packet in found if packet.valid] == [2, 3, 4]
