"""A chain of Dynamixel X-series motors on one port."""

import math
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from dynamixel_sdk import COMM_NOT_AVAILABLE, COMM_PORT_BUSY, COMM_SUCCESS, COMM_TX_ERROR, COMM_TX_FAIL, PortHandler
from numpy.typing import NDArray

from ebt_data.errors import ConfigError
from ebt_hardware.device import MotorState, Ticks
from ebt_hardware.motors.bus_errors import BusLost, MotorSilent, Refused, WrongMotors
from ebt_hardware.motors.control_table import VOLT, WATCHDOG_S, Register, load_table, model_name
from ebt_hardware.motors.health import MotorHealth
from ebt_hardware.motors.packet_handler import PacketHandler, SyncRead
from ebt_hardware.motors.packets import ALERT

__all__ = ["BusLost", "DynamixelBus", "MotorHealth", "MotorSilent", "Refused", "WrongMotors"]

_FEEDBACK_START, _FEEDBACK_LENGTH = 126, 10
_FEEDBACK = np.dtype([("effort", "<i2"), ("velocity", "<i4"), ("position", "<i4")])
_RAM_START, _RAM_LENGTH = 64, 83  # Torque Enable to Present Temperature: one packet instead of five
_GOAL_ADDRESS, _GOAL_LENGTH = 116, 4
_GOAL = np.dtype([("id", "u1"), ("goal", "<i4")])
_NOT_SENT = {COMM_PORT_BUSY, COMM_TX_FAIL, COMM_TX_ERROR, COMM_NOT_AVAILABLE}
_LONGEST_WATCHDOG = 127


class DynamixelBus:
    """Motors by id, in the order given. Values are in motor units; `Arm` converts them to radians.

    Every method raises `BusLost` when the port has disappeared. Torque changes by `set_torque` only.
    """

    def __init__(self, port: PortHandler, motors: Mapping[int, str], tolerated_misses: int = 5) -> None:
        self.port = port
        self.ids = tuple(motors)
        self.tables = {motor_id: load_table(model) for motor_id, model in motors.items()}
        self.firmware: dict[int, int] = {}
        """By id, known after `connect`."""
        self.missed = dict.fromkeys(self.ids, 0)
        """Reads that a motor did not answer, even when repeated, since the bus was created."""
        self.corrupted = 0
        """Corrupted replies since the bus was created."""
        self._tolerated = tolerated_misses
        self._misses = dict.fromkeys(self.ids, 0)  # in a row
        self._handler = PacketHandler()
        self._read = self._sync_read(_FEEDBACK_START, _FEEDBACK_LENGTH, self.ids)
        self._feedback = bytearray(_FEEDBACK_LENGTH * len(self.ids))
        self._alert = np.zeros(len(self.ids), np.bool_)
        self._goal = np.zeros(len(self.ids), _GOAL)
        self._goal["id"] = self.ids

    def connect(self) -> None:
        """Open the port and check that every motor responds and is of the expected model. Torque does not change.

        Raises:
            PortError: the port cannot be opened.
            MotorSilent: motors do not answer; lists all of them, and the motors found.
            WrongMotors: motors are of another model; lists all of them.
        """
        with self._port_errors():
            self.port.openPort()
        try:
            self._check_motors()
        except BaseException:
            self.close()
            raise

    def read(self) -> MotorState:
        """Read effort, velocity and position of all motors at once. Also feeds their watchdogs.

        A motor that does not answer is read once more; if it fails again, it keeps its last values and is not `fresh`.

        Raises:
            BusLost: the port has disappeared.
            MotorSilent: a motor missed too many consecutive reads (a `BusLost` too).
        """
        replies = self._transact(self._read, [motor_id for motor_id in self.ids if not self._misses[motor_id]])
        fresh = np.zeros(len(self.ids), np.bool_)
        for place, motor_id in enumerate(self.ids):
            error, data = replies.get(motor_id, (0, b""))
            if len(data) == _FEEDBACK_LENGTH:
                fresh[place] = True
                self._feedback[place * _FEEDBACK_LENGTH : (place + 1) * _FEEDBACK_LENGTH] = data
                self._alert[place] = error & ALERT
                self._misses[motor_id] = 0
            else:
                self._misses[motor_id] += 1
                self.missed[motor_id] += 1
        if not fresh.all():
            self._raise_if_lost()
        values = np.frombuffer(bytes(self._feedback), _FEEDBACK)
        return MotorState(
            position=values["position"].astype(np.int32),
            velocity=values["velocity"].astype(np.int32),
            effort=values["effort"].astype(np.int32),
            alert=self._alert.copy(),
            fresh=fresh,
        )

    def write_goal(self, goal: Ticks) -> None:
        """Send goal positions `[M]`. Motors do not reply: see `watchdog_tripped` for goals that are refused."""
        self._goal["goal"] = goal
        parameters = list(self._goal.tobytes())
        with self._port_errors():
            self._check_sent(
                self._handler.syncWriteTxOnly(self.port, _GOAL_ADDRESS, _GOAL_LENGTH, parameters, len(parameters))
            )

    def set_torque(self, on: bool) -> None:
        """Switch the torque of all motors; each motor confirms.

        Raises:
            Refused, MotorSilent: some motors failed; all others were switched.
        """
        self.write("torque_enable", int(on))

    def torque(self) -> NDArray[np.bool_]:
        """Which motors have torque on, [M]."""
        values = self.read_register("torque_enable")
        return np.array([values[motor_id] == 1 for motor_id in self.ids], np.bool_)

    def write(self, register: str, value: int | Mapping[int, int]) -> None:
        """Write one value to all motors, or one per id, and check that each motor accepted it.

        Raises:
            Refused: motors answered with an error; lists all of them. The others accepted the value.
            MotorSilent: motors did not answer; the others accepted the value.
        """
        values = value if isinstance(value, Mapping) else dict.fromkeys(self.ids, value)
        places = {motor_id: self.tables[motor_id].register(register) for motor_id in values}
        refused, silent = {}, []
        for motor_id, place in places.items():
            data = place.encode(values[motor_id])
            with self._port_errors():
                result, error = self._write_one(motor_id, place, data)
            if result != COMM_SUCCESS:
                silent.append(motor_id)
            elif error & ~ALERT:
                refused[motor_id] = error & ~ALERT
        if refused:
            raise Refused(self.port.port_name, register, refused)
        if silent:
            raise MotorSilent(self.port.port_name, silent, [motor_id for motor_id in values if motor_id not in silent])

    def read_register(self, register: str) -> dict[int, int]:
        """A register of every motor, by id.

        Raises:
            MotorSilent: motors do not answer; lists all of them.
            Refused: motors do not have it, as with old firmware; lists all of them.
        """
        places: dict[Register, list[int]] = {}
        for motor_id in self.ids:
            places.setdefault(self.tables[motor_id].register(register), []).append(motor_id)
        values: dict[int, int] = {}
        refused: dict[int, int] = {}
        for place, ids in places.items():
            for motor_id, (error, data) in self._transact(self._sync_read(place.address, place.size, ids), ids).items():
                if data:
                    values[motor_id] = place.decode(data)
                else:
                    refused[motor_id] = error & ~ALERT
        missing = [motor_id for motor_id in self.ids if motor_id not in values and motor_id not in refused]
        if missing:
            raise MotorSilent(self.port.port_name, missing, sorted({*values, *refused}))
        if refused:
            raise Refused(self.port.port_name, register, refused)
        return {motor_id: values[motor_id] for motor_id in self.ids}

    def health(self, ids: Sequence[int] | None = None) -> dict[int, MotorHealth]:
        """Temperature, voltage, faults and whether torque is on, of all or the given motors. Too slow for every tick.

        Raises:
            MotorSilent: motors do not answer, even when repeated; lists all of them.
        """
        wanted = self.ids if ids is None else tuple(ids)
        replies = self._transact(self._sync_read(_RAM_START, _RAM_LENGTH, wanted), wanted)
        missing = [motor_id for motor_id in wanted if len(replies.get(motor_id, (0, b""))[1]) != _RAM_LENGTH]
        if missing:
            raise MotorSilent(self.port.port_name, missing, [i for i in wanted if i not in missing])
        return {motor_id: self._motor_health(motor_id, replies[motor_id][1]) for motor_id in wanted}

    def arm_watchdog(self, timeout_s: float | None) -> None:
        """Let the motors stop after this time without a packet; None disables the watchdog.

        Any packet feeds it. Clears a watchdog that has already stopped a motor, which then accepts goals again; set
        them to the present position first.

        Raises:
            ConfigError: longer than the 2.54 s that the register can hold, or not positive.
        """
        self.write("bus_watchdog", 0)
        if timeout_s is None:
            return
        counts = math.ceil(round(timeout_s / WATCHDOG_S, 6))
        if not 1 <= counts <= _LONGEST_WATCHDOG:
            raise ConfigError(f"a bus watchdog of {timeout_s} s is not between 0.02 and 2.54 s")
        self.write("bus_watchdog", counts)

    def watchdog_tripped(self) -> tuple[int, ...]:
        """Ids of motors that their watchdog has stopped, which refuse goals."""
        return tuple(motor_id for motor_id, value in self.read_register("bus_watchdog").items() if value < 0)

    def close(self) -> None:
        """Close the port. Torque does not change."""
        self.port.closePort()
        self.port.is_using = False

    def _check_motors(self) -> None:
        numbers = {}
        for motor_id in self.ids:
            with self._port_errors():
                number, result, _ = self._handler.ping(self.port, motor_id)
                if result != COMM_SUCCESS:
                    number, result, _ = self._handler.ping(self.port, motor_id)
            if result == COMM_SUCCESS:
                numbers[motor_id] = number
        missing = [motor_id for motor_id in self.ids if motor_id not in numbers]
        if missing:
            with self._port_errors():
                others, _ = self._handler.broadcastPing(self.port)
            raise MotorSilent(self.port.port_name, missing, sorted({*numbers, *others}))
        wrong = [
            f"motor {motor_id} is {model_name(number)}, expected {self.tables[motor_id].model}"
            for motor_id, number in numbers.items()
            if number != self.tables[motor_id].number
        ]
        if wrong:
            raise WrongMotors(
                f"on {self.port.port_name}: {'; '.join(wrong)}", hint="correct the models in the bench file"
            )
        self.firmware = self.read_register("firmware_version")

    def _motor_health(self, motor_id: int, ram: bytes) -> MotorHealth:
        def value(name: str) -> int:
            register = self.tables[motor_id].register(name)
            return register.decode(ram[register.address - _RAM_START : register.end - _RAM_START])

        return MotorHealth(
            temperature_c=float(value("present_temperature")),
            voltage_v=value("present_input_voltage") * VOLT,
            error_bits=value("hardware_error_status"),
            torque=value("torque_enable") == 1,
            watchdog_tripped=value("bus_watchdog") < 0,
        )

    def _raise_if_lost(self) -> None:
        lost = [motor_id for motor_id in self.ids if self._misses[motor_id] >= self._tolerated]
        if lost:
            found = [motor_id for motor_id in self.ids if not self._misses[motor_id]]
            raise MotorSilent(self.port.port_name, lost, found, f" ({self._tolerated} reads in a row)")

    def _sync_read(self, address: int, length: int, ids: Sequence[int]) -> SyncRead:
        return SyncRead(self.port, self._handler, address, length, list(ids))

    def _transact(self, request: SyncRead, retried: Sequence[int]) -> dict[int, tuple[int, bytes]]:
        """Replies by id; motors in `retried` are read a second time if they miss the first."""
        with self._port_errors():
            self._check_sent(request.txRxPacket())
            self.corrupted += request.corrupt
            replies = request.replies
            missing = [motor_id for motor_id in retried if motor_id not in replies]
            if missing:
                # In reverse: if a motor waits for the one before it, those after a silent one can still reply.
                second = self._sync_read(request.start_address, request.data_length, missing[::-1])
                self._check_sent(second.txRxPacket())
                self.corrupted += second.corrupt
                replies = {**replies, **second.replies}
        return replies

    def _write_one(self, motor_id: int, place: Register, data: bytes) -> tuple[int, int]:
        for _ in range(2):
            result, error = self._handler.writeTxRx(self.port, motor_id, place.address, place.size, list(data))
            self._check_sent(result)
            if result == COMM_SUCCESS:
                break
        return result, error

    def _check_sent(self, result: int) -> None:
        if result in _NOT_SENT:
            raise BusLost(self.port.port_name, self._handler.getTxRxResult(result))

    @contextmanager
    def _port_errors(self) -> Iterator[None]:
        """Raise `BusLost` where the operating system reports that the port has disappeared."""
        try:
            yield
        except (OSError, termios.error) as error:  # serial.SerialException is an OSError, termios.error is not
            raise BusLost(self.port.port_name, str(error)) from error
        finally:
            self.port.is_using = False  # otherwise it stays busy after Ctrl-C, and the arm could not be parked
