"""An emulated motor's memory, with the rules for writing registers."""

from ebt_hardware.motors.control_table import EEPROM_END, FULL_PWM, TICKS_PER_TURN, ControlTable, Register
from ebt_hardware.motors.packets import StatusError

END = 147
"""The address after Present Temperature, the last register that is emulated."""
MULTI_TURN = 1_048_575
"""The largest goal in modes 4 and 5."""
POSITION_MODE = 3
_FIRMWARE = 52
_GOAL_LIMITS = {
    "goal_pwm": "pwm_limit",
    "goal_current": "current_limit",
    "goal_velocity": "velocity_limit",
    "goal_position": "",
}
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


class Registers:
    """Bytes by address and values by name, with the rules of the e-manual for writing them."""

    def __init__(self, table: ControlTable, motor_id: int) -> None:
        self.table = table
        self.memory = bytearray(END)
        self._in_order = sorted(table.registers.values(), key=lambda register: register.address)
        for name, value in table.factory.items():
            self[name] = value
        self["id"] = motor_id
        self["model_number"] = table.number
        self["firmware_version"] = _FIRMWARE

    def __getitem__(self, name: str) -> int:
        register = self.table.register(name)
        return register.decode(self.memory[register.address : register.end])

    def __setitem__(self, name: str, value: int) -> None:
        """Set a value from inside the motor, without checks."""
        register = self.table.register(name)
        self.memory[register.address : register.end] = register.encode(value)

    @property
    def torque(self) -> bool:
        return self.memory[64] != 0

    @property
    def shut_down(self) -> bool:
        """True after a fault that Shutdown names; torque stays off until a reboot."""
        return self.memory[70] & self.memory[63] != 0

    @property
    def watchdog_tripped(self) -> bool:
        """True after the bus watchdog has stopped the motor; the goal registers are locked until 0 is written."""
        return self.memory[98] == 0xFF

    @property
    def goal_range(self) -> tuple[int, int]:
        """The lowest and highest Goal Position in the present mode."""
        if self.memory[11] == POSITION_MODE:
            return self["min_position_limit"], self["max_position_limit"]
        return -MULTI_TURN, MULTI_TURN

    def power_cycle(self) -> None:
        """Reset the RAM registers to their power-up values."""
        self.memory[EEPROM_END:] = bytes(END - EEPROM_END)
        for name, value in self.table.factory.items():
            if self.table.registers[name].address >= EEPROM_END:
                self[name] = value

    def store(self, address: int, data: bytes) -> tuple[StatusError, list[str]]:
        """Write all or nothing; returns the error, or the names of the registers written."""
        end = address + len(data)
        if end > END:
            return StatusError.ACCESS, []
        touched = [register for register in self._in_order if register.address < end and register.end > address]
        if not all(self._is_writable(register) for register in touched):
            return StatusError.ACCESS, []
        if any(register.address < address or register.end > end for register in touched):
            return StatusError.LENGTH, []
        for register in touched:
            value = register.decode(data[register.address - address : register.end - address])
            error = self._check_value(register.name, value)
            if error:
                return error, []
        self.memory[address:end] = data
        return StatusError.NONE, [register.name for register in touched]

    def _is_writable(self, register: Register) -> bool:
        return register.writable and not (register.address < EEPROM_END and self.torque)

    def _check_value(self, name: str, value: int) -> StatusError:
        if name in _GOAL_LIMITS:
            return self._check_goal(name, value)
        if name == "torque_enable" and value and self.shut_down:
            return StatusError.RESULT
        low, high = _RANGES.get(name, (value, value))
        allowed = low <= value <= high
        if name == "operating_mode":
            allowed = value in self.table.modes
        elif name == "current_limit":
            allowed = 0 <= value <= self.table.factory[name]
        elif name == "bus_watchdog":
            allowed = allowed and not (value and self.watchdog_tripped)
        return StatusError.NONE if allowed else StatusError.RANGE

    def _check_goal(self, name: str, value: int) -> StatusError:
        if self.watchdog_tripped:
            return StatusError.RANGE
        if name == "goal_position":
            low, high = self.goal_range
        else:
            high = self[_GOAL_LIMITS[name]]
            low = -high
        return StatusError.NONE if low <= value <= high else StatusError.LIMIT
