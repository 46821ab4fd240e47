"""One emulated Dynamixel X-series motor: its registers, motion and faults.

Not emulated: the gains (the shaft defines the stiffness), indirect addresses and the secondary id.
The e-manual does not state whether Goal Position follows a horn that is moved with torque off. Here it does not, so
that the motor jumps where a program enables torque without setting the goal first.
"""

import math
import struct

from ebt_hardware.emulator.profile import Profile
from ebt_hardware.emulator.protection import Protection
from ebt_hardware.emulator.registers import POSITION_MODE, Registers
from ebt_hardware.emulator.shaft import FreeShaft, Shaft
from ebt_hardware.motors.control_table import (
    FULL_PWM,
    RAD_PER_TICK,
    RAD_S2_PER_ACCELERATION,
    RAD_S_PER_VELOCITY,
    TICKS_PER_TURN,
    VOLT,
    WATCHDOG_S,
    load_table,
)
from ebt_hardware.motors.packets import StatusError

GOAL_POSITION = 116
_PRESENT = struct.Struct("<HBBhhiiiiHB")  # 120 Realtime Tick to 146 Present Temperature
_PRESENT_START = 120
_CENTRE = 2048
_SLOW_S = 0.1  # heat and faults change slowly
_FAR_RAD = 1e3  # a goal that is never reached: constant effort, as in modes 0 and 16
_IN_POSITION = 20  # ticks
_REVERSE, _TIME_BASED, _TORQUE_BY_GOAL = 1, 4, 8  # bits of Drive Mode
_CURRENT, _VELOCITY, _CURRENT_POSITION, _PWM = 0, 1, 5, 16
_GOAL_REGISTER = {_CURRENT: "goal_current", _PWM: "goal_pwm"}


class EmulatedMotor:
    """A motor with registers and a shaft.

    Raises:
        ConfigError: the model is unknown.
    """

    def __init__(self, model: str, id: int, shaft: Shaft) -> None:  # noqa: A002  # ROBOTIS's name
        self.table = load_table(model)
        self.id = id
        self.shaft = shaft
        self.voltage_v = self.table.nominal_v
        """Supply voltage."""
        self.alert = False
        """True while Hardware Error Status is not 0."""
        self._registers = Registers(self.table, id)
        self._memory = self._registers.memory
        self._profile = Profile()
        self._protection = Protection()
        self._registered: tuple[int, bytes] | None = None
        self._time_s = 0.0
        self._slow_s = 0.0
        self.reboot()

    def __getitem__(self, name: str) -> int:
        """A register's value; present values are updated first."""
        register = self.table.register(name)
        return register.decode(self.read(register.address, register.size))

    @property
    def status_return_level(self) -> int:
        return self._memory[68]

    def reboot(self) -> None:
        """Lose the RAM registers, faults and torque, as after a power cycle."""
        self._registers.power_cycle()
        self._registered = None
        self.alert = False
        self._protection.reset()
        self._release()
        self._start_mode()

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory; fewer than requested where the table ends."""
        if address + length > _PRESENT_START:
            self._refresh()
        return bytes(self._memory[address : address + length])

    def write(self, address: int, data: bytes) -> StatusError:
        """Write as a WRITE instruction does: all or nothing, with the error that the status packet carries."""
        if address == GOAL_POSITION and len(data) == 4:  # the control loop's write: skip the lookup
            low, high = self._goal_range
            if low <= int.from_bytes(data, "little", signed=True) <= high and not self._registers.watchdog_tripped:
                self._memory[GOAL_POSITION : GOAL_POSITION + 4] = data
                self._new_goal()
                return StatusError.NONE
        error, names = self._registers.store(address, data)
        for name in names:
            self._apply(name)
        return error

    def register_write(self, address: int, data: bytes) -> None:
        """Store a write until `take_registered_write`, as REG_WRITE does."""
        self._registered = (address, data)
        self._memory[69] = 1

    def take_registered_write(self) -> tuple[int, bytes] | None:
        """Return the stored write, if any, and clear it."""
        registered, self._registered = self._registered, None
        self._memory[69] = 0
        return registered

    def feed_watchdog(self) -> None:
        """Reset the watchdog's timer: a packet arrived."""
        self._silent_s = 0.0

    def raise_error(self, bits: int) -> None:
        """Detect a fault: Hardware Error Status keeps it until a reboot; torque is cut where Shutdown selects it."""
        self._memory[70] |= bits
        self.alert = self._memory[70] != 0
        if self._registers.shut_down and self._torque:
            self._release()

    def update(self, dt_s: float) -> None:
        """Advance profile, shaft, watchdog and temperature by `dt_s`."""
        self._time_s += dt_s
        if self._torque:
            self._profile.advance(dt_s)
            self._drive(dt_s)
            if self._watchdog_s:
                self._silent_s += dt_s
                if self._silent_s > self._watchdog_s:
                    self._trip_watchdog()
        if isinstance(self.shaft, FreeShaft):  # no simulated world moves it
            self.shaft.advance(dt_s)
        self._slow_s += dt_s
        if self._slow_s >= _SLOW_S:
            self._update_protection()

    def _apply(self, name: str) -> None:
        """Act on a register that was written."""
        if name == "torque_enable":
            if not self._memory[64]:
                self._release()
            elif not self._torque:
                self._engage()
        elif name == "goal_position":
            self._new_goal()
        elif name == "operating_mode":
            self._start_mode()
        elif name == "bus_watchdog":
            self._watchdog_s = self._memory[98] * WATCHDOG_S
            self._silent_s = 0.0
        elif name == "id":
            self.id = self._memory[7]
        elif name not in {"led", "status_return_level"}:
            self._update_settings()

    def _start_mode(self) -> None:
        """Apply power-up or a mode change: count within one turn, goals at their limits, goal position at present."""
        registers = self._registers
        self._watchdog_s = self._memory[98] * WATCHDOG_S
        self._silent_s = 0.0
        registers["goal_pwm"] = registers["pwm_limit"]
        registers["goal_velocity"] = 0
        if self.table.current_a is not None:
            registers["goal_current"] = registers["current_limit"]
        self._update_settings()
        registers["goal_position"] = round(self._present())

    def _update_settings(self) -> None:
        """Derive settings from the registers, once per write instead of once per update."""
        registers = self._registers
        self._mode = self._memory[11]
        self._sign = -1.0 if self._memory[10] & _REVERSE else 1.0
        self._goal_range = registers.goal_range
        if not self._torque:
            self._count_from_one_turn()
        self._limit = abs(registers["goal_pwm"]) / FULL_PWM
        if self._mode in {_CURRENT, _CURRENT_POSITION} and self.table.current_a is not None:
            current_a = abs(registers["goal_current"]) * self.table.current_a
            self._limit = min(1.0, current_a / self.table.stall_current_a)
        self._update_profile()

    def _update_profile(self) -> None:
        registers = self._registers
        speed, acceleration = registers["profile_velocity"], registers["profile_acceleration"]
        if self._memory[10] & _TIME_BASED:  # both in ms
            self._profile.set_duration(registers["goal_position"], speed / 1000, acceleration / 1000)
        else:
            self._profile.speed = speed * RAD_S_PER_VELOCITY / RAD_PER_TICK
            self._profile.acceleration = acceleration * RAD_S2_PER_ACCELERATION / RAD_PER_TICK

    def _count_from_one_turn(self) -> None:
        """Set the offset in: ticks = sign * horn in ticks + offset."""
        actual = self._sign * self.shaft.position() / RAD_PER_TICK + _CENTRE
        self._offset = _CENTRE - TICKS_PER_TURN * math.floor(actual / TICKS_PER_TURN)
        homing = self._registers["homing_offset"]
        if self._mode != POSITION_MODE:
            self._offset += homing
        elif abs(homing) <= 1024:  # others are ignored in position mode (e-manual)
            self._offset += homing
            self._offset -= TICKS_PER_TURN * math.floor(self._present() / TICKS_PER_TURN)

    def _present(self) -> float:
        return self._sign * self.shaft.position() / RAD_PER_TICK + self._offset

    def _engage(self) -> None:
        if self._mode == POSITION_MODE:
            self._count_from_one_turn()
        self._torque = True
        self._silent_s = 0.0
        self._profile.stop_at(self._present())
        self._update_goal()

    def _new_goal(self) -> None:
        if self._memory[10] & _TORQUE_BY_GOAL and not self._torque and not self._registers.shut_down:
            self._memory[64] = 1
            self._engage()
        else:
            self._update_goal()

    def _update_goal(self) -> None:
        if self._memory[10] & _TIME_BASED:
            self._update_profile()
        self._profile.goal = float(self._registers["goal_position"])

    def _release(self) -> None:
        self._memory[64] = 0
        self._torque = False
        self.shaft.drive(None, 0.0)

    def _trip_watchdog(self) -> None:
        """Stop as the watchdog does: hold the present position, goal registers locked until 0 is written."""
        self._memory[98] = 0xFF
        self._watchdog_s = 0.0
        self._registers[_GOAL_REGISTER.get(self._mode, "goal_velocity")] = 0
        self._profile.stop_at(self._present())

    def _drive(self, dt_s: float) -> None:
        profile, registers = self._profile, self._registers
        if self._mode in _GOAL_REGISTER and not registers.watchdog_tripped:
            push = self._sign * registers[_GOAL_REGISTER[self._mode]]
            self.shaft.drive(math.copysign(_FAR_RAD, push), self._limit)
            return
        if self._mode == _VELOCITY:
            speed = registers["goal_velocity"] * RAD_S_PER_VELOCITY / RAD_PER_TICK
            profile.stop_at(profile.position + speed * dt_s)
        self.shaft.drive(self._sign * (profile.position - self._offset) * RAD_PER_TICK, self._limit)

    def _update_protection(self) -> None:
        registers = self._registers
        self._protection.advance(self.shaft.effort() if self._torque else 0.0, self._slow_s)
        self._slow_s = 0.0
        errors = self._protection.errors(
            voltage=round(self.voltage_v / VOLT),
            volts=(registers["min_voltage_limit"], registers["max_voltage_limit"]),
            temperature_limit=self._memory[31],
        )
        if errors:
            self.raise_error(errors)

    def _refresh(self) -> None:
        """Update the present values."""
        shaft, sign, profile, table = self.shaft, self._sign, self._profile, self.table
        effort = sign * shaft.effort() if self._torque else 0.0
        force = effort * 1000 if table.current_a is None else effort * table.stall_current_a / table.current_a
        velocity = round(sign * shaft.velocity() / RAD_S_PER_VELOCITY)
        position = round(self._present())
        arrived = abs(profile.goal - position) <= _IN_POSITION
        if self._mode == POSITION_MODE:
            position %= TICKS_PER_TURN
        _PRESENT.pack_into(
            self._memory,
            _PRESENT_START,
            int(self._time_s * 1000) & 0x7FFF,
            abs(velocity) > self._memory[24],
            (self._torque and profile.goal != profile.position) << 1 | arrived,
            round(effort * FULL_PWM),
            round(force),
            velocity,
            position,
            round(profile.velocity * RAD_PER_TICK / RAD_S_PER_VELOCITY),
            round(profile.position),
            round(self.voltage_v / VOLT),
            round(self._protection.temperature_c),
        )
