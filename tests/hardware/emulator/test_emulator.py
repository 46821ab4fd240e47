"""The emulated bus, asked by the SDK's own packet handler and groups."""

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
    Protocol2PacketHandler,
)

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.control_table import MODELS, RAD_PER_TICK, load_table
from ebt_hardware.motors.packets import Instruction, frame

SDK = Protocol2PacketHandler()
RANGE, LENGTH, LIMIT, ACCESS = 4, 5, 6, 7


class Bench:
    """Motor 1 is an XL430, motor 2 an XL330, both with nothing on their horns."""

    def __init__(self) -> None:
        self.shafts = {1: FreeShaft(), 2: FreeShaft()}
        self.emulator = Emulator(
            [EmulatedMotor("XL430-W250", 1, self.shafts[1]), EmulatedMotor("XL330-M288", 2, self.shafts[2])]
        )
        self.port = LoopbackPort(self.emulator)
        self.port.openPort()

    def write(self, motor_id: int, register: str, value: int) -> int:
        """Write with the SDK; gives the error byte."""
        place = self.emulator[motor_id].table.register(register)
        result, error = SDK.writeTxRx(self.port, motor_id, place.address, place.size, list(place.encode(value)))
        assert result == COMM_SUCCESS
        return int(error)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.emulator.update(0.01)

    def hold(self, motor_id: int) -> None:
        self.write(motor_id, "goal_position", self.emulator[motor_id]["present_position"])
        assert self.write(motor_id, "torque_enable", 1) == 0


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_ping_gives_the_model_number(bench: Bench) -> None:
    assert SDK.ping(bench.port, 1) == (1060, COMM_SUCCESS, 0)
    assert SDK.ping(bench.port, 2) == (1200, COMM_SUCCESS, 0)
    assert SDK.ping(bench.port, 3)[1] == COMM_RX_TIMEOUT


def test_a_broadcast_ping_finds_everybody(bench: Bench) -> None:
    found, result = SDK.broadcastPing(bench.port)
    assert result == COMM_SUCCESS
    assert found == {1: [1060, 52], 2: [1200, 52]}


@pytest.mark.parametrize("model", MODELS)
def test_every_known_model_can_be_emulated(model: str) -> None:
    motor = EmulatedMotor(model, 9, FreeShaft())
    assert motor["model_number"] == load_table(model).number
    assert motor["present_position"] == 2048
    assert motor["id"] == 9


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


def test_torque_on_goes_to_the_goal_that_was_set_before(bench: Bench) -> None:
    bench.write(1, "goal_position", 2148)
    bench.pass_time(0.2)
    assert bench.emulator[1]["present_position"] == 2048
    bench.write(1, "torque_enable", 1)
    bench.pass_time(1.0)
    assert bench.emulator[1]["present_position"] == pytest.approx(2148, abs=1)


def test_without_torque_the_horn_gives_way_and_with_it_it_holds(bench: Bench) -> None:
    bench.shafts[1].load = 0.2
    bench.hold(1)
    bench.pass_time(0.5)
    held = bench.emulator[1]["present_position"]
    assert abs(held - 2048) < 30, "it sags a little, as without an integral gain"
    assert bench.emulator[1]["present_load"] == pytest.approx(-200, abs=5)
    bench.write(1, "torque_enable", 0)
    bench.pass_time(0.5)
    assert bench.emulator[1]["present_position"] > held + 100


def test_the_profile_velocity_is_kept(bench: Bench) -> None:
    bench.write(1, "operating_mode", 4)
    bench.write(1, "profile_velocity", 50)  # 11.45 rev/min, 781.7 ticks/s
    bench.hold(1)
    bench.write(1, "goal_position", 2048 + 4000)
    bench.pass_time(1.0)
    before = bench.emulator[1]["present_position"]
    bench.pass_time(1.0)
    assert bench.emulator[1]["present_position"] - before == pytest.approx(781.7, abs=2)
    assert bench.emulator[1]["present_velocity"] == pytest.approx(50, abs=1)
    assert bench.emulator[1]["moving"] == 1
    bench.pass_time(5.0)
    assert bench.emulator[1]["present_position"] == 6048
    assert bench.emulator[1]["moving"] == 0


def test_a_time_based_profile_arrives_when_it_was_told_to(bench: Bench) -> None:
    bench.write(1, "drive_mode", 4)
    bench.write(1, "profile_velocity", 1000)
    bench.write(1, "profile_acceleration", 250)
    bench.hold(1)
    bench.write(1, "goal_position", 3048)
    bench.pass_time(0.5)
    assert bench.emulator[1]["position_trajectory"] == pytest.approx(2548, abs=10)
    bench.pass_time(0.45)
    assert bench.emulator[1]["position_trajectory"] < 3048
    bench.pass_time(0.07)
    assert bench.emulator[1]["position_trajectory"] == 3048


def test_homing_offset_and_reverse_move_what_is_read_and_where_it_goes(bench: Bench) -> None:
    bench.shafts[1].turn(500 * RAD_PER_TICK)
    assert bench.emulator[1]["present_position"] == 2548
    bench.write(1, "drive_mode", 1)
    assert bench.emulator[1]["present_position"] == 2048 - 500
    bench.write(1, "homing_offset", 100)
    assert bench.emulator[1]["present_position"] == 2048 - 500 + 100
    bench.write(1, "homing_offset", 1025)
    assert bench.emulator[1]["present_position"] == 2048 - 500, "beyond 1024 it is ignored in position mode"
    bench.write(1, "homing_offset", 100)
    bench.hold(1)
    bench.write(1, "goal_position", 2148)
    bench.pass_time(1.0)
    assert bench.shafts[1].position() == pytest.approx(0.0, abs=RAD_PER_TICK)


def test_position_mode_counts_one_turn_and_multi_turn_mode_goes_on(bench: Bench) -> None:
    bench.shafts[1].turn(2100 * RAD_PER_TICK)
    assert bench.emulator[1]["present_position"] == 2048 + 2100 - 4096
    bench.shafts[1].turn(0.0)
    bench.write(1, "operating_mode", 4)
    bench.shafts[1].turn(10_000 * RAD_PER_TICK)
    assert bench.emulator[1]["present_position"] == 12_048
    bench.emulator[1].reboot()
    assert bench.emulator[1]["present_position"] == 12_048 % 4096, "turns are forgotten without power"


def test_goal_current_limits_the_push_in_mode_5(bench: Bench) -> None:
    bench.write(2, "operating_mode", 5)
    bench.write(2, "goal_current", 147)  # mA, a tenth of stall
    bench.shafts[2].blocked = True
    bench.hold(2)
    bench.write(2, "goal_position", 4000)
    bench.pass_time(0.5)
    assert bench.emulator[2]["present_current"] == pytest.approx(147, abs=1)


def test_velocity_mode_turns_for_ever(bench: Bench) -> None:
    bench.write(1, "operating_mode", 1)
    bench.write(1, "torque_enable", 1)
    bench.write(1, "goal_velocity", -100)
    bench.pass_time(3.0)
    assert bench.emulator[1]["present_velocity"] == pytest.approx(-100, abs=3)
    assert bench.emulator[1]["present_position"] < -2500


def test_current_mode_pushes_with_what_it_is_told(bench: Bench) -> None:
    bench.write(2, "operating_mode", 0)
    bench.shafts[2].blocked = True
    bench.write(2, "torque_enable", 1)
    bench.write(2, "goal_current", -294)
    bench.pass_time(0.1)
    assert bench.emulator[2]["present_current"] == pytest.approx(-294, abs=1)


def test_straining_heats_a_motor_and_shuts_it_down(bench: Bench) -> None:
    bench.shafts[1].blocked = True
    bench.hold(1)
    bench.write(1, "goal_position", 4000)
    bench.pass_time(4.0)
    assert bench.emulator[1]["hardware_error_status"] == 0
    assert bench.emulator[1]["present_temperature"] > 25
    bench.pass_time(2.0)
    assert bench.emulator[1]["hardware_error_status"] == 0b10_0000
    assert bench.emulator[1]["torque_enable"] == 0
    assert SDK.read1ByteTxRx(bench.port, 1, 64) == (0, COMM_SUCCESS, 128)
    assert bench.write(1, "torque_enable", 1) == 128 | 1
    assert SDK.reboot(bench.port, 1)[0] == COMM_SUCCESS
    assert bench.write(1, "torque_enable", 1) == 0


def test_only_faults_in_the_shutdown_mask_take_the_torque(bench: Bench) -> None:
    bench.write(1, "shutdown", 0)
    bench.hold(1)
    bench.emulator.raise_error(1, 0b100)
    assert bench.emulator[1]["torque_enable"] == 1
    assert SDK.ping(bench.port, 1)[2] == 128


def test_a_supply_out_of_range_is_detected(bench: Bench) -> None:
    bench.hold(2)
    bench.emulator[2].voltage_v = 3.0
    bench.pass_time(0.2)
    assert bench.emulator[2]["present_input_voltage"] == 30
    assert bench.emulator[2]["hardware_error_status"] == 1
    assert bench.emulator[2]["torque_enable"] == 0, "an XL330 shuts down for it"


def test_a_bus_watchdog_counts_only_with_torque_on_and_locks_all_goals(bench: Bench) -> None:
    bench.write(1, "bus_watchdog", 5)
    bench.pass_time(1.0)
    assert bench.emulator[1]["bus_watchdog"] == 5
    bench.hold(1)
    bench.pass_time(0.09)
    assert bench.emulator[1]["bus_watchdog"] == 5
    bench.pass_time(0.03)
    assert bench.emulator[1]["bus_watchdog"] == -1
    for register in ("goal_position", "goal_velocity", "goal_pwm"):
        assert bench.write(1, register, 100) == RANGE
    assert bench.write(1, "bus_watchdog", 5) == RANGE, "only 0 clears it"
    assert bench.write(1, "bus_watchdog", 0) == 0
    assert bench.write(1, "goal_position", 100) == 0


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


def test_faults_on_the_wire_can_be_switched_on(bench: Bench) -> None:
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
