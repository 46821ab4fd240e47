"""One emulated Dynamixel X-series motor: its registers, and the motion and faults behind them.

Not emulated: the gains (the shaft decides how stiff it is), indirect addresses, the secondary id, EEPROM wear.
The e-manual does not say whether Goal Position follows a horn that is moved with torque off. Here it does not, so that
a program which enables torque without setting the goal first is seen to jump.
"""

import math
import struct

from ebt_hardware.control_table import (
    EEPROM_END,
    FULL_PWM,
    RAD_PER_TICK,
    RAD_S2_PER_ACCELERATION,
    RAD_S_PER_VELOCITY,
    TICKS_PER_TURN,
    VOLT,
    WATCHDOG_S,
    Register,
    load_table,
)
from ebt_hardware.packets import StatusError
from ebt_hardware.profile import Profile
from ebt_hardware.protection import HardwareErrorBit, Protection
from ebt_hardware.shaft import FreeShaft, Shaft

_SIZE = 147  # up to Present Temperature
_GOAL_POSITION = 116
_PRESENT = struct.Struct("<HBBhhiiiiHB")  # 120 Realtime Tick to 146 Present Temperature
_PRESENT_START = 120
_CENTRE = 2048
_SLOW_S = 0.1  # heat and faults change slowly
_MULTI_TURN = 1_048_575  # largest goal in modes 4 and 5
_FIRMWARE = 52
_FAR_RAD = 1e3  # a goal that is never reached: constant effort, as modes 0 and 16 have it
_GOALS = {"goal_pwm", "goal_current", "goal_velocity", "goal_position"}
_RANGES = {
    "id": (0, 252),
    "baud_rate": (0, 7),
    "return_delay_time": (0, 254),
    "drive_mode": (0, 13),
    "homing_offset": (-1_044_479, 1_044_479),
    "temperature_limit": (0, 100),
    "pwm_limit": (0, FULL_PWM),
    "velocity_limit": (0, 2047),
    "min_position_limit": (0, TICKS_PER_TURN - 1),
    "max_position_limit": (0, TICKS_PER_TURN - 1),
    "torque_enable": (0, 1),
    "led": (0, 1),
    "status_return_level": (0, 2),
    "bus_watchdog": (0, 127),
    "profile_acceleration": (0, 32_767),
    "profile_velocity": (0, 32_767),
}
_REVERSE, _TIME_BASED, _TORQUE_BY_GOAL = 1, 4, 8  # bits of Drive Mode
_CURRENT, _VELOCITY, _POSITION, _CURRENT_POSITION, _PWM = 0, 1, 3, 5, 16


class EmulatedMotor:
    """A motor with a horn.

    Raises:
        ConfigError: the model is not known.
    """

    def __init__(self, model: str, id: int, shaft: Shaft) -> None:  # noqa: A002  # what ROBOTIS calls it
        self.table = load_table(model)
        self.id = id
        self.shaft = shaft
        self.voltage_v = self.table.nominal_v
        """What the power supply gives."""
        self.registered: tuple[int, bytes] | None = None
        """A REG_WRITE that waits for its ACTION."""
        self.alert = False
        """True while Hardware Error Status is not 0."""
        self._registers = sorted(self.table.registers.values(), key=lambda register: register.address)
        self._memory = bytearray(_SIZE)
        self._profile = Profile()
        self._protection = Protection()
        self._torque = False
        self._time_s = 0.0
        self._slow_s = 0.0
        for name, value in self.table.factory.items():
            self._put(name, value)
        self._put("id", id)
        self._put("model_number", self.table.number)
        self._put("firmware_version", _FIRMWARE)
        self.reboot()

    def __getitem__(self, name: str) -> int:
        """A register's value, present values brought up to date."""
        register = self.table.register(name)
        return register.decode(self.read(register.address, register.size))

    @property
    def status_return_level(self) -> int:
        return self._memory[68]

    def reboot(self) -> None:
        """Lose the RAM registers, faults and torque, as after a power cycle."""
        self._memory[EEPROM_END:] = bytes(_SIZE - EEPROM_END)
        self._put("status_return_level", 2)
        self._put("position_p_gain", self.table.factory["position_p_gain"])
        self.registered = None
        self.alert = False
        self._protection.cool()
        self._release()
        self._reset_goals()

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory; shorter than asked where the table ends."""
        if address + length > _PRESENT_START:
            self._refresh()
        return bytes(self._memory[address : address + length])

    def write(self, address: int, data: bytes) -> StatusError:
        """Write as a WRITE instruction does: all or nothing, with the error that the status packet carries."""
        if address == _GOAL_POSITION and len(data) == 4:
            return self._write_goal(data)
        end = address + len(data)
        if end > _SIZE:
            return StatusError.ACCESS
        touched = [register for register in self._registers if register.address < end and register.end > address]
        for register in touched:
            if register.address < address or register.end > end:
                return StatusError.LENGTH
            value = register.decode(data[register.address - address : register.end - address])
            if error := self._refusal(register, value):
                return error
        self._memory[address:end] = data
        for register in touched:
            self._apply(register.name)
        return StatusError.NONE

    def hear(self) -> None:
        """Note that the bus is alive, for the watchdog."""
        self._silent_s = 0.0

    def raise_error(self, bits: int) -> None:
        """Detect a fault: Hardware Error Status keeps it until a reboot; torque goes where Shutdown says so."""
        self._memory[70] |= bits
        self.alert = self._memory[70] != 0
        if self._tripped and self._torque:
            self._release()

    def update(self, dt_s: float) -> None:
        """Let time pass: profile, horn, watchdog, heat."""
        self._time_s += dt_s
        if self._torque:
            self._profile.advance(dt_s)
            self._drive(dt_s)
            if self._watchdog_s:
                self._silent_s += dt_s
                if self._silent_s > self._watchdog_s:
                    self._expire()
        if isinstance(self.shaft, FreeShaft):  # no world moves it
            self.shaft.advance(dt_s)
        self._slow_s += dt_s
        if self._slow_s >= _SLOW_S:
            self._check()

    @property
    def _tripped(self) -> bool:
        return bool(self._memory[70] & self._memory[63])

    @property
    def _expired(self) -> bool:
        return self._memory[98] == 0xFF

    def _put(self, name: str, value: int) -> None:
        register = self.table.registers[name]
        self._memory[register.address : register.end] = register.encode(value)

    def _get(self, name: str) -> int:
        register = self.table.registers[name]
        return register.decode(self._memory[register.address : register.end])

    def _refusal(self, register: Register, value: int) -> StatusError:
        name = register.name
        if not register.writable or (register.address < EEPROM_END and self._torque):
            return StatusError.ACCESS
        if name in _GOALS:
            return self._goal_refusal(name, value)
        if name == "torque_enable" and value and self._tripped:
            return StatusError.RESULT
        if name == "operating_mode" and value not in self.table.modes:
            return StatusError.RANGE
        if name == "current_limit" and value > self.table.factory["current_limit"]:
            return StatusError.RANGE
        if name == "bus_watchdog" and value and self._expired:
            return StatusError.RANGE
        low, high = _RANGES.get(name, (value, value))
        return StatusError.NONE if low <= value <= high else StatusError.RANGE

    def _goal_refusal(self, name: str, value: int) -> StatusError:
        if self._expired:
            return StatusError.RANGE
        if name == "goal_position":
            low, high = self._goal_range
            return StatusError.NONE if low <= value <= high else StatusError.LIMIT
        limit = self._get(name.replace("goal_", "") + "_limit")
        return StatusError.NONE if abs(value) <= limit else StatusError.LIMIT

    def _write_goal(self, data: bytes) -> StatusError:
        value = int.from_bytes(data, "little", signed=True)
        low, high = self._goal_range
        if self._expired:
            return StatusError.RANGE
        if not low <= value <= high:
            return StatusError.LIMIT
        self._memory[_GOAL_POSITION : _GOAL_POSITION + 4] = data
        self._apply("goal_position")
        return StatusError.NONE

    def _apply(self, name: str) -> None:
        if name == "torque_enable":
            if not self._memory[64]:
                self._release()
            elif not self._torque:
                self._engage()
        elif name == "goal_position":
            if self._memory[10] & _TORQUE_BY_GOAL and not self._torque and not self._tripped:
                self._memory[64] = 1
                self._engage()
            self._aim()
        elif name == "operating_mode":
            self._reset_goals()
        elif name == "bus_watchdog":
            self._watchdog_s = self._memory[98] * WATCHDOG_S
            self._silent_s = 0.0
        elif name == "id":
            self.id = self._memory[7]
        elif name not in {"led", "status_return_level"}:
            self._settle()

    def _reset_goals(self) -> None:
        """What a change of mode and power-up do: one turn again, goals at their limits and where the horn is."""
        self._watchdog_s = self._memory[98] * WATCHDOG_S
        self._silent_s = 0.0
        self._settle()
        self._put("goal_pwm", self._get("pwm_limit"))
        self._put("goal_velocity", 0)
        if self.table.current_a is not None:
            self._put("goal_current", self._get("current_limit"))
        self._rebase()
        self._put("goal_position", round(self._present()))
        self._settle()

    def _settle(self) -> None:
        """Work out what the registers mean, once per write instead of once per update."""
        self._mode = self._memory[11]
        reverse = self._memory[10] & _REVERSE
        self._sign = -1.0 if reverse else 1.0
        if not self._torque:
            self._rebase()
        if self._mode == _POSITION:
            self._goal_range = (self._get("min_position_limit"), self._get("max_position_limit"))
        else:
            self._goal_range = (-_MULTI_TURN, _MULTI_TURN)
        self._limit = abs(self._get("goal_pwm")) / FULL_PWM
        if self._mode in {_CURRENT, _CURRENT_POSITION} and self.table.current_a is not None:
            current_a = abs(self._get("goal_current")) * self.table.current_a
            self._limit = min(1.0, current_a / self.table.stall_current_a)
        self._shape()

    def _shape(self) -> None:
        speed, acceleration = self._get("profile_velocity"), self._get("profile_acceleration")
        if self._memory[10] & _TIME_BASED:  # both in ms
            self._profile.within(self._get("goal_position"), speed / 1000, acceleration / 1000)
        else:
            self._profile.speed = speed * RAD_S_PER_VELOCITY / RAD_PER_TICK
            self._profile.acceleration = acceleration * RAD_S2_PER_ACCELERATION / RAD_PER_TICK

    def _rebase(self) -> None:
        """Count from within one turn again: ticks = sign * horn ticks + offset."""
        actual = self._sign * self.shaft.position() / RAD_PER_TICK + _CENTRE
        self._offset = _CENTRE - TICKS_PER_TURN * math.floor(actual / TICKS_PER_TURN)
        homing = self._get("homing_offset")
        if self._mode != _POSITION:
            self._offset += homing
        elif abs(homing) <= 1024:  # others are ignored in position mode, says the e-manual
            self._offset += homing
            self._offset -= TICKS_PER_TURN * math.floor(self._present() / TICKS_PER_TURN)

    def _present(self) -> float:
        return self._sign * self.shaft.position() / RAD_PER_TICK + self._offset

    def _engage(self) -> None:
        if self._mode == _POSITION:
            self._rebase()
        self._torque = True
        self._silent_s = 0.0
        self._profile.stand(self._present())
        self._aim()

    def _aim(self) -> None:
        if self._memory[10] & _TIME_BASED:
            self._shape()
        self._profile.goal = float(self._get("goal_position"))

    def _release(self) -> None:
        self._memory[64] = 0
        self._torque = False
        self.shaft.drive(None, 0.0)

    def _expire(self) -> None:
        """The watchdog's stop: stand here, stiff, with the goal registers locked until 0 is written."""
        self._memory[98] = 0xFF
        self._watchdog_s = 0.0
        self._put("goal_velocity", 0)
        self._profile.stand(self._present())

    def _drive(self, dt_s: float) -> None:
        if self._mode == _VELOCITY:
            speed = self._get("goal_velocity") * RAD_S_PER_VELOCITY / RAD_PER_TICK
            self._profile.stand(self._profile.position + speed * dt_s)
        elif self._mode in {_CURRENT, _PWM} and not self._expired:
            push = self._get("goal_current" if self._mode == _CURRENT else "goal_pwm")
            self.shaft.drive(math.copysign(_FAR_RAD, self._sign * push), self._limit)
            return
        self.shaft.drive(self._sign * (self._profile.position - self._offset) * RAD_PER_TICK, self._limit)

    def _check(self) -> None:
        effort = self.shaft.effort() if self._torque else 0.0
        self._protection.advance(effort, self._slow_s)
        self._slow_s = 0.0
        volts = (self._get("min_voltage_limit"), self._get("max_voltage_limit"))
        found = self._protection.errors(round(self.voltage_v / VOLT), volts, self._memory[31])
        if found:
            self.raise_error(found)

    def _refresh(self) -> None:
        shaft, sign = self.shaft, self._sign
        effort = sign * shaft.effort() if self._torque else 0.0
        if self.table.current_a is None:
            force = effort * 1000
        else:
            force = effort * self.table.stall_current_a / self.table.current_a
        velocity = round(sign * shaft.velocity() / RAD_S_PER_VELOCITY)
        position = round(self._present())
        if self._mode == _POSITION:
            position %= TICKS_PER_TURN
        profile = self._profile
        on_the_way = self._torque and profile.goal != profile.position
        _PRESENT.pack_into(
            self._memory,
            _PRESENT_START,
            int(self._time_s * 1000) & 0x7FFF,
            abs(velocity) > self._memory[24],
            on_the_way << 1 | (abs(profile.goal - position) <= 20),
            round(effort * FULL_PWM),
            round(force),
            velocity,
            position,
            round(profile.velocity * RAD_PER_TICK / RAD_S_PER_VELOCITY),
            round(profile.position),
            round(self.voltage_v / VOLT),
            round(self._protection.temperature_c),
        )


__all__ = ["EmulatedMotor", "HardwareErrorBit"]
