"""The bus between computer and motors: its byte limit, a pty with the same rate, and a comparison with the stock SDK.

Protocol 2.0 (https://emanual.robotis.com/docs/en/dxl/protocol2/), n motors, ten bits a byte on the bus:

    sync read    14 + n           header 4, id 1, length 2, instruction 1, address 2, length 2, n ids, checksum 2
    its replies  n * (11 + 10)    header 4, id 1, length 2, instruction 1, error 1, checksum 2; current, velocity, position
    sync write   14 + 5 n         as the sync read, with an id and a goal of 4 bytes for each motor
    stuffing     at most n * 3 in the replies and n in the goals: one byte for every FF FF FD in the data
    delay        n * Return Delay Time (control table 9, 2 us a count), if every reply of a sync read waits for it

A USB adapter adds its latency to every read (1 ms at its shortest latency timer), which is not emulated here.
"""

import multiprocessing
import os
import select
import statistics
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import dynamixel_sdk as sdk

from ebt_hardware.bench.realtime import realtime
from ebt_hardware.device import MotorState, Ticks
from ebt_hardware.motors.bus import DynamixelBus
from ebt_hardware.motors.port import SerialPort

FEEDBACK, FEEDBACK_BYTES = 126, 10
GOAL, GOAL_BYTES, POSITION = 116, 4, 132
DELAY_UNIT_S = 2e-6
BLOCK_S = 5.0


@dataclass(frozen=True)
class Packets:
    """Bytes of one sync read with its replies, and of one sync write."""

    read: int
    write: int

    @classmethod
    def of(cls, motors: int, stuffed: bool = False) -> "Packets":
        extra = stuffed * motors
        return cls(14 + motors + 21 * motors + 3 * extra, 14 + 5 * motors + extra)


def transmission_s(size: int, baudrate: int) -> float:
    return size * 10 / baudrate


def limit(motors: int, baudrate: int, delay_counts: Mapping[str, Mapping[int, int]]) -> dict[str, float]:
    """Times of a tick on the bus alone: follower and leader read one after the other, then the goals."""
    plain, stuffed = Packets.of(motors), Packets.of(motors, stuffed=True)
    delay_s = sum(DELAY_UNIT_S * sum(counts.values()) for counts in delay_counts.values())
    times_s = {
        "read": transmission_s(plain.read, baudrate),
        "write": transmission_s(plain.write, baudrate),
        "tick": transmission_s(2 * plain.read + plain.write, baudrate),
        "stuffed tick": transmission_s(2 * stuffed.read + stuffed.write, baudrate),
    }
    times_s["stuffed tick with delays"] = times_s["stuffed tick"] + delay_s
    return {
        "bytes": 2 * plain.read + plain.write,
        **{f"{name}_ms": 1e3 * value for name, value in times_s.items()},
        "tick_hz": 1 / times_s["tick"],
        "worst_hz": 1 / times_s["stuffed tick with delays"],
    }


class TimedBus(DynamixelBus):
    """The production bus, with timing."""

    read_s = write_s = 0.0
    """Duration of the last call."""

    def read(self) -> MotorState:
        start_s = time.perf_counter()
        try:
            return super().read()
        finally:
            self.read_s = time.perf_counter() - start_s

    def write_goal(self, goal: Ticks) -> None:
        start_s = time.perf_counter()
        super().write_goal(goal)
        self.write_s = time.perf_counter() - start_s


@contextmanager
def paced(paths: Mapping[str, str], baudrate: int) -> Iterator[Mapping[str, str]]:
    """Ptys in front of ptys that pass bytes at the rate of a bus at `baudrate`, served by their own process."""
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=forward_paced, args=(paths, baudrate, child_end), daemon=True)
    process.start()
    child_end.close()
    try:
        yield parent_end.recv()
    finally:
        parent_end.close()
        process.join()


def forward_paced(paths: Mapping[str, str], baudrate: int, calls: Connection) -> None:
    """Forward bytes after their transmission time; half-duplex, so one direction at a time."""
    other: dict[int, int] = {}
    names: dict[str, str] = {}
    for arm, path in paths.items():
        far = os.open(path, os.O_RDWR | os.O_NOCTTY)
        near, client = os.openpty()
        for end in (far, client):
            tty.setraw(end)
        other |= {far: near, near: far}
        names[arm] = os.ttyname(client)
    calls.send(names)
    with realtime():
        while calls not in (ready := select.select([calls, *other], [], [])[0]):
            for end in ready:
                data = os.read(end, 4096)
                time.sleep(transmission_s(len(data), baudrate))
                os.write(other[end], data)


class StockArm:
    """One arm driven as in the SDK's examples."""

    def __init__(self, path: str, ids: tuple[int, ...], baudrate: int) -> None:
        self.port = sdk.PortHandler(path)
        self.port.openPort()
        self.port.setBaudRate(baudrate)
        packets = sdk.PacketHandler(2.0)
        self._ids = ids
        self._read = sdk.GroupSyncRead(self.port, packets, FEEDBACK, FEEDBACK_BYTES)
        self._write = sdk.GroupSyncWrite(self.port, packets, GOAL, GOAL_BYTES)
        for motor in ids:
            self._read.addParam(motor)
        self._goals = dict.fromkeys(ids, 2048)

    def read(self) -> bool:
        if self._read.txRxPacket() != sdk.COMM_SUCCESS:
            return False
        for motor in self._ids:
            self._read.getData(motor, FEEDBACK, 2)
            self._read.getData(motor, FEEDBACK + 2, 4)
            self._goals[motor] = self._read.getData(motor, POSITION, 4)
        return True

    def write(self) -> bool:
        for motor, goal in self._goals.items():
            self._write.addParam(motor, list(goal.to_bytes(4, "little")))
        done = self._write.txPacket() == sdk.COMM_SUCCESS
        self._write.clearParam()
        return bool(done)

    def close(self) -> None:
        self.port.closePort()


class ProductionArm:
    """The same arm through the production bus."""

    def __init__(self, path: str, motors: Mapping[int, str], baudrate: int) -> None:
        self.bus = DynamixelBus(SerialPort(path, baudrate), motors)
        self.bus.connect()

    def read(self) -> bool:
        self._state = self.bus.read()
        return bool(self._state.fresh.all())

    def write(self) -> bool:
        self.bus.write_goal(self._state.position)
        return True

    def close(self) -> None:
        self.bus.close()


Arms = tuple[Any, Any]  # follower, leader


def compare(
    paths: Mapping[str, str], motors: Mapping[str, Mapping[int, str]], baudrate: int, rate_hz: float, blocks: int
) -> dict[str, Any]:
    """Read the follower, read the leader, write the follower: with each client in turns, without the control loop."""

    def production() -> Arms:
        return tuple(ProductionArm(paths[arm], motors[arm], baudrate) for arm in ("follower", "leader"))

    def stock() -> Arms:
        return tuple(StockArm(paths[arm], tuple(motors[arm]), baudrate) for arm in ("follower", "leader"))

    results: dict[str, list[dict[str, Any]]] = {}
    for _ in range(blocks):
        for name, make in (("ours", production), ("stock SDK", stock)):
            for pace, period_s in (("flat out", 0.0), (f"at {rate_hz:g} Hz", 1 / rate_hz)):
                results.setdefault(f"{name}, {pace}", []).append(block(make, period_s))
    return {name: merged(blocks) for name, blocks in results.items()}


def block(make: Callable[[], Arms], period_s: float) -> dict[str, Any]:
    """Cycles for five seconds."""
    follower, leader = make()
    durations_s: list[float] = []
    failed = 0
    start_s, cpu_s = time.perf_counter(), time.process_time()
    due_s = start_s
    while (now_s := time.perf_counter()) - start_s < BLOCK_S:
        failed += not all((follower.read(), leader.read(), follower.write()))
        durations_s.append(time.perf_counter() - now_s)
        due_s += period_s
        time.sleep(max(0.0, due_s - time.perf_counter()) if period_s else 0.0)
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
    for arm in (follower, leader):
        arm.close()
    return {"took": durations_s, "failed": failed, "wall_s": wall_s, "cpu_s": cpu_s}


def merged(blocks: list[dict[str, Any]]) -> dict[str, float]:
    """All blocks of one client as one row of figures."""
    durations_ms = sorted(1e3 * cycle for each in blocks for cycle in each["took"])
    wall_s, cpu_s = (sum(each[name] for each in blocks) for name in ("wall_s", "cpu_s"))
    return {
        "cycles": len(durations_ms),
        "failed": sum(each["failed"] for each in blocks),
        "rate_hz": len(durations_ms) / wall_s,
        "p50_ms": statistics.median(durations_ms),
        "p99_ms": durations_ms[int(0.99 * len(durations_ms))],
        "cpu_ms": 1e3 * cpu_s / len(durations_ms),
        "cpu_share": cpu_s / wall_s,
    }
