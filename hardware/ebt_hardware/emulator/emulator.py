"""A bus of emulated motors with Protocol 2.0 and fault injection."""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ebt_hardware.emulator.motor import GOAL_POSITION, EmulatedMotor
from ebt_hardware.emulator.shaft import FreeShaft, Shaft
from ebt_hardware.motors.packets import ALERT, BROADCAST, Framer, Instruction, Packet, StatusError, frame

__all__ = ["EmulatedMotor", "Emulator", "FreeShaft", "GoalWrite", "Shaft"]

_LOGGED = 2_000  # goal writes kept: 40 s at 50 Hz


@dataclass(frozen=True, slots=True)
class GoalWrite:
    """Goal positions set by one packet."""

    time_s: float
    goals: dict[int, int]
    """Ticks by motor id; only those that were accepted."""


class Emulator:
    """Motors on one bus. `handle` maps request bytes to reply bytes; `update` advances time.

    One thread at a time.
    """

    def __init__(self, motors: Iterable[EmulatedMotor], clock: Callable[[], float] | None = None) -> None:
        self.motors = {motor.id: motor for motor in motors}
        self.time_s = 0.0
        """Sum of the times passed to `update`."""
        self.clock = clock or (lambda: self.time_s)
        """Clock for the time stamps of goal writes."""
        self.log: deque[GoalWrite] = deque(maxlen=_LOGGED)
        self.requests: Counter[Instruction] = Counter()
        """Valid packets received, by instruction."""
        self._plugged = True
        self.unplugs = 0
        """How often it was unplugged; a port that was open then never works again."""
        self._framer = Framer()
        self._goals: dict[int, int] = {}
        self._ids_changed = False
        self._muted: set[int] = set()
        self._corrupt = 0
        self._drop = 0.0
        self._random = random.Random(0)
        self._handlers: dict[int, Callable[[Packet], Iterator[bytes]]] = {
            Instruction.PING: self._ping,
            Instruction.READ: self._read,
            Instruction.WRITE: self._write,
            Instruction.REG_WRITE: self._reg_write,
            Instruction.ACTION: self._action,
            Instruction.REBOOT: self._reboot,
            Instruction.SYNC_READ: self._sync_read,
            Instruction.SYNC_WRITE: self._sync_write,
            Instruction.BULK_READ: self._bulk_read,
            Instruction.BULK_WRITE: self._bulk_write,
        }

    def __getitem__(self, motor_id: int) -> EmulatedMotor:
        return self.motors[motor_id]

    def update(self, dt_s: float) -> None:
        """Advance every motor by `dt_s`."""
        self.time_s += dt_s
        for motor in self.motors.values():
            motor.update(dt_s)

    def handle(self, request: bytes) -> bytes:
        """Everything that the motors send on the bus after these bytes."""
        if not self.plugged:
            return b""
        replies: list[bytes] = []
        for packet in self._framer.feed(request):
            replies += self._reply(packet)
        if self._corrupt or self._drop:
            replies = [self._damage(reply) for reply in replies]
        return b"".join(replies)

    def mute(self, motor_id: int) -> None:
        """Let a motor receive but not reply, as with a broken return line."""
        self._muted.add(motor_id)

    def unmute(self, motor_id: int) -> None:
        self._muted.discard(motor_id)

    def corrupt_next(self, packets: int) -> None:
        """Corrupt one byte in each of the next replies."""
        self._corrupt = packets

    def drop(self, probability: float, seed: int = 0) -> None:
        """From now on lose replies with this probability."""
        self._drop = probability
        self._random = random.Random(seed)

    def raise_error(self, motor_id: int, bits: int) -> None:
        """Let a motor detect a fault; `bits` as in Hardware Error Status."""
        self.motors[motor_id].raise_error(bits)

    @property
    def plugged(self) -> bool:
        """False while the adapter is unplugged. The motors keep their power and execute their last instructions."""
        return self._plugged

    @plugged.setter
    def plugged(self, plugged: bool) -> None:
        self.unplugs += self._plugged and not plugged
        self._plugged = plugged

    def unplug(self) -> None:
        self.plugged = False

    def plug(self) -> None:
        self.plugged = True

    def _reply(self, packet: Packet) -> Iterator[bytes]:
        if not packet.valid:
            yield from self._status(packet.id, StatusError.CRC)
            return
        answer = self._handlers.get(packet.instruction)
        if answer is None:
            if packet.instruction != Instruction.STATUS:
                yield from self._status(packet.id, StatusError.INSTRUCTION)
            return
        self.requests[Instruction(packet.instruction)] += 1
        for motor in self._addressed(packet.id):
            motor.feed_watchdog()
        yield from answer(packet)
        if self._ids_changed:  # only now: a motor acknowledges its new id under the old one
            self.motors = {motor.id: motor for motor in self.motors.values()}
            self._ids_changed = False
        if self._goals:
            self.log.append(GoalWrite(self.clock(), self._goals))
            self._goals = {}

    def _addressed(self, motor_id: int) -> Iterable[EmulatedMotor]:
        if motor_id == BROADCAST:
            return self.motors.values()
        return (self.motors[motor_id],) if motor_id in self.motors else ()

    def _status(self, motor_id: int, error: StatusError, data: bytes = b"", level: int = 2) -> Iterator[bytes]:
        """A status packet, unless the motor is absent, muted or configured not to answer such instructions."""
        motor = self.motors.get(motor_id)
        if motor is None or motor_id in self._muted or motor.status_return_level < level:
            return
        yield frame(motor_id, bytes((Instruction.STATUS, error | (ALERT if motor.alert else 0))) + data)

    def _ping(self, packet: Packet) -> Iterator[bytes]:
        for motor in sorted(self._addressed(packet.id), key=lambda motor: motor.id):
            data = motor.read(0, 2) + motor.read(6, 1)
            yield from self._status(motor.id, StatusError.NONE, data, level=0)

    def _read(self, packet: Packet) -> Iterator[bytes]:
        if packet.id not in self.motors:
            return
        if len(packet.parameters) != 4:
            yield from self._status(packet.id, StatusError.LENGTH)
            return
        yield from self._send(packet.id, *_words(packet.parameters))

    def _send(self, motor_id: int, address: int, length: int) -> Iterator[bytes]:
        motor = self.motors.get(motor_id)
        if motor is None:
            return
        data = motor.read(address, length)
        if len(data) == length:
            yield from self._status(motor_id, StatusError.NONE, data, level=1)
        else:
            yield from self._status(motor_id, StatusError.ACCESS, level=1)

    def _sync_read(self, packet: Packet) -> Iterator[bytes]:
        if len(packet.parameters) < 4:
            return
        address, length = _words(packet.parameters)
        for motor_id in packet.parameters[4:]:
            yield from self._send(motor_id, address, length)

    def _bulk_read(self, packet: Packet) -> Iterator[bytes]:
        for start in range(0, len(packet.parameters) - 4, 5):
            item = packet.parameters[start : start + 5]
            yield from self._send(item[0], *_words(item[1:]))

    def _store(self, motor_id: int, address: int, data: bytes) -> StatusError:
        motor = self.motors.get(motor_id)
        if motor is None:
            return StatusError.NONE
        error = motor.write(address, data)
        if motor.id != motor_id:
            self._ids_changed = True
        if not error and address <= GOAL_POSITION and address + len(data) >= GOAL_POSITION + 4:
            start = GOAL_POSITION - address
            self._goals[motor_id] = int.from_bytes(data[start : start + 4], "little", signed=True)
        return error

    def _write(self, packet: Packet) -> Iterator[bytes]:
        if len(packet.parameters) < 3:
            yield from self._status(packet.id, StatusError.LENGTH)
            return
        address = packet.parameters[0] | packet.parameters[1] << 8
        for motor in list(self._addressed(packet.id)):
            error = self._store(motor.id, address, packet.parameters[2:])
            if packet.id != BROADCAST:
                yield from self._status(packet.id, error)

    def _reg_write(self, packet: Packet) -> Iterator[bytes]:
        if len(packet.parameters) < 3:
            yield from self._status(packet.id, StatusError.LENGTH)
            return
        address = packet.parameters[0] | packet.parameters[1] << 8
        for motor in self._addressed(packet.id):
            motor.register_write(address, packet.parameters[2:])
        yield from self._status(packet.id, StatusError.NONE)

    def _action(self, packet: Packet) -> Iterator[bytes]:
        for motor in list(self._addressed(packet.id)):
            registered = motor.take_registered_write()
            if registered is not None:
                self._store(motor.id, *registered)
        yield from self._status(packet.id, StatusError.NONE)

    def _reboot(self, packet: Packet) -> Iterator[bytes]:
        yield from self._status(packet.id, StatusError.NONE)
        for motor in self._addressed(packet.id):
            motor.reboot()

    def _sync_write(self, packet: Packet) -> Iterator[bytes]:
        if len(packet.parameters) < 4:
            return
        address, length = _words(packet.parameters)
        parameters = packet.parameters
        for start in range(4, len(parameters) - length, length + 1):
            self._store(parameters[start], address, parameters[start + 1 : start + 1 + length])
        yield from ()

    def _bulk_write(self, packet: Packet) -> Iterator[bytes]:
        rest = packet.parameters
        while len(rest) >= 5:
            address, length = _words(rest[1:5])
            self._store(rest[0], address, rest[5 : 5 + length])
            rest = rest[5 + length :]
        yield from ()

    def _damage(self, reply: bytes) -> bytes:
        if self._drop and self._random.random() < self._drop:
            return b""
        if self._corrupt:
            self._corrupt -= 1
            place = self._random.randrange(len(reply))
            return reply[:place] + bytes((reply[place] ^ 0x5A,)) + reply[place + 1 :]
        return reply


def _words(data: bytes) -> tuple[int, int]:
    return data[0] | data[1] << 8, data[2] | data[3] << 8
