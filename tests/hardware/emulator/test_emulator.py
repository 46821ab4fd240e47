"""The emulated bus, tested with the SDK's packet handler and groups."""

import numpy as np
import pytest
from dynamixel_sdk import (
    COMM_RX_CORRUPT,
    COMM_RX_TIMEOUT,
    COMM_SUCCESS,
    GroupBulkRead,
    GroupBulkWrite,
    GroupSyncRead,
    GroupSyncWrite,
)

from ebt_hardware.motors.packets import Instruction, frame
from tests.hardware.emulator.conftest import ACCESS, LENGTH, LIMIT, RANGE, SDK, Bench


def test_ping_gives_the_model_number(bench: Bench) -> None:
    assert SDK.ping(bench.port, 1) == (1060, COMM_SUCCESS, 0)
    assert SDK.ping(bench.port, 2) == (1200, COMM_SUCCESS, 0)
    assert SDK.ping(bench.port, 3)[1] == COMM_RX_TIMEOUT


def test_a_broadcast_ping_finds_all_motors(bench: Bench) -> None:
    found, result = SDK.broadcastPing(bench.port)
    assert result == COMM_SUCCESS
    assert found == {1: [1060, 52], 2: [1200, 52]}


def test_read_and_write_of_each_size(bench: Bench) -> None:
    assert SDK.write1ByteTxRx(bench.port, 1, 65, 1) == (COMM_SUCCESS, 0)
    assert SDK.write2ByteTxRx(bench.port, 1, 84, 900) == (COMM_SUCCESS, 0)
    assert SDK.write4ByteTxRx(bench.port, 1, 116, 3000) == (COMM_SUCCESS, 0)
    assert SDK.read1ByteTxRx(bench.port, 1, 65) == (1, COMM_SUCCESS, 0)
    assert SDK.read2ByteTxRx(bench.port, 1, 84) == (900, COMM_SUCCESS, 0)
    assert SDK.read4ByteTxRx(bench.port, 1, 116) == (3000, COMM_SUCCESS, 0)


def test_a_registered_write_waits_for_its_action(bench: Bench) -> None:
    SDK.regWriteTxRx(bench.port, 1, 116, 4, [0x10, 0, 0, 0])
    assert bench.emulator[1]["goal_position"] == 2048
    assert bench.emulator[1]["registered_instruction"] == 1
    assert SDK.action(bench.port, 254) == COMM_SUCCESS
    assert bench.emulator[1]["goal_position"] == 16
    assert bench.emulator[1]["registered_instruction"] == 0


def test_the_sdks_sync_groups_read_and_write_all_motors(bench: Bench) -> None:
    write = GroupSyncWrite(bench.port, SDK, 116, 4)
    read = GroupSyncRead(bench.port, SDK, 116, 4)
    for motor_id, goal in ((1, 1000), (2, 2000)):
        assert write.addParam(motor_id, list(goal.to_bytes(4, "little")))
        assert read.addParam(motor_id)
    assert write.txPacket() == COMM_SUCCESS
    assert read.txRxPacket() == COMM_SUCCESS
    assert [read.getData(motor_id, 116, 4) for motor_id in (1, 2)] == [1000, 2000]


def test_the_sdks_bulk_groups_read_and_write_different_registers(bench: Bench) -> None:
    write = GroupBulkWrite(bench.port, SDK)
    assert write.addParam(1, 116, 4, [1, 2, 0, 0])
    assert write.addParam(2, 65, 1, [1])
    assert write.txPacket() == COMM_SUCCESS
    read = GroupBulkRead(bench.port, SDK)
    assert read.addParam(1, 116, 4)
    assert read.addParam(2, 65, 1)
    assert read.txRxPacket() == COMM_SUCCESS
    assert (read.getData(1, 116, 4), read.getData(2, 65, 1)) == (0x0201, 1)


def test_each_refusal_has_the_error_number_of_the_protocol(bench: Bench) -> None:
    assert bench.write(1, "operating_mode", 5) == RANGE, "an XL430 has no current-based position mode"
    assert bench.write(2, "operating_mode", 5) == 0
    assert bench.write(2, "operating_mode", 3) == 0
    assert SDK.write1ByteTxRx(bench.port, 1, 117, 1) == (COMM_SUCCESS, LENGTH), "in the middle of Goal Position"
    assert bench.write(1, "goal_position", 4096) == LIMIT
    assert bench.write(1, "min_position_limit", 1000) == 0
    assert bench.write(1, "goal_position", 999) == LIMIT
    assert bench.write(1, "goal_velocity", 266) == LIMIT
    assert SDK.write2ByteTxRx(bench.port, 1, 132, 5)[1] == ACCESS, "Present Position is read-only"
    assert SDK.readTxRx(bench.port, 1, 5000, 4)[2] == ACCESS
    bench.hold(1)
    assert bench.write(1, "homing_offset", 5) == ACCESS, "EEPROM is locked while torque is on"


def test_an_unknown_instruction_and_a_bad_checksum_are_answered_as_such(bench: Bench) -> None:
    reply = bench.emulator.handle(frame(1, b"\x77"))
    assert reply[8] == 2
    broken = bytearray(frame(1, bytes((Instruction.PING,))))
    broken[-1] ^= 0xFF
    assert bench.emulator.handle(bytes(broken))[8] == 3


def test_the_status_return_level_silences_writes_then_reads(bench: Bench) -> None:
    SDK.write1ByteTxOnly(bench.port, 1, 68, 1)
    assert SDK.write1ByteTxRx(bench.port, 1, 65, 1)[0] == COMM_RX_TIMEOUT
    assert SDK.read1ByteTxRx(bench.port, 1, 65) == (1, COMM_SUCCESS, 0)
    SDK.write1ByteTxRx(bench.port, 1, 68, 0)
    assert SDK.read1ByteTxRx(bench.port, 1, 65)[1] == COMM_RX_TIMEOUT
    assert SDK.ping(bench.port, 1)[1] == COMM_SUCCESS


def test_packets_may_come_in_pieces_and_after_noise(bench: Bench) -> None:
    ping = frame(1, bytes((Instruction.PING,)))
    whole = bench.emulator.handle(ping)
    pieces = b"".join(bench.emulator.handle(bytes((byte,))) for byte in b"\x00\xff\xff\xfd\x12" + ping)
    assert pieces == whole


@pytest.mark.parametrize("seed", range(20))
def test_no_bytes_bring_the_emulator_down(bench: Bench, seed: int) -> None:
    random = np.random.default_rng(seed)
    instructions = [int(instruction) for instruction in Instruction]
    for _ in range(100):
        body = bytes((int(random.choice(instructions)),)) + random.bytes(int(random.integers(0, 12)))
        bench.emulator.handle(frame(int(random.choice([1, 2, 9, 254])), body))
        bench.emulator.handle(random.bytes(5))
        bench.emulator.update(0.01)
    bench.emulator.handle(bytes(2000))
    for motor in bench.emulator.motors.values():
        assert len(motor.read(0, 147)) == 147


def test_an_id_can_be_changed(bench: Bench) -> None:
    assert bench.write(2, "id", 7) == 0
    assert SDK.ping(bench.port, 2)[1] == COMM_RX_TIMEOUT
    assert SDK.ping(bench.port, 7)[0] == 1200


def test_any_packet_to_a_motor_feeds_its_watchdog_and_no_other(bench: Bench) -> None:
    for motor_id in (1, 2):
        bench.hold(motor_id)
        bench.write(motor_id, "bus_watchdog", 5)
    for _ in range(5):
        bench.pass_time(0.05)
        SDK.ping(bench.port, 1)
    assert bench.emulator[1]["bus_watchdog"] == 5
    assert bench.emulator[2]["bus_watchdog"] == -1


def test_goals_are_logged_with_their_time_and_requests_counted(bench: Bench) -> None:
    bench.pass_time(0.5)
    write = GroupSyncWrite(bench.port, SDK, 116, 4)
    write.addParam(1, [0, 1, 0, 0])
    write.addParam(2, [0, 0x20, 0, 0])  # beyond the limit
    write.txPacket()
    bench.pass_time(0.5)
    bench.write(2, "goal_position", 77)
    assert [entry.goals for entry in bench.emulator.log] == [{1: 256}, {2: 77}]
    assert [entry.time_s for entry in bench.emulator.log] == pytest.approx([0.5, 1.0])
    assert bench.emulator.requests == {Instruction.SYNC_WRITE: 1, Instruction.WRITE: 1}


def test_bus_faults_can_be_injected(bench: Bench) -> None:
    bench.emulator.mute(1)
    assert SDK.ping(bench.port, 1)[1] == COMM_RX_TIMEOUT
    bench.emulator.unmute(1)
    bench.emulator.corrupt_next(1)
    assert SDK.ping(bench.port, 1)[1] in {COMM_RX_CORRUPT, COMM_RX_TIMEOUT}
    assert SDK.ping(bench.port, 1)[1] == COMM_SUCCESS
    bench.emulator.drop(0.5, seed=3)
    results = [SDK.ping(bench.port, 1)[1] for _ in range(100)]
    assert 30 < results.count(COMM_SUCCESS) < 70


def test_two_runs_with_the_same_faults_are_the_same() -> None:
    def run() -> list[int]:
        bench = Bench()
        bench.emulator.drop(0.3, seed=5)
        return [int(SDK.ping(bench.port, 1)[1]) for _ in range(50)]

    assert run() == run()
