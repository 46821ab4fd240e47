"""The address of each register of a Dynamixel X-series motor, and the unit of one count.

Addresses, sizes and model numbers are read from the `.model` files that ROBOTIS ships inside the dynamixel-sdk wheel.
Units and factory values are those of the e-manual, https://emanual.robotis.com/docs/en/dxl/x/.
"""

import importlib.util
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ebt_data.errors import ConfigError, HardwareError

TICKS_PER_TURN = 4096
RAD_PER_TICK = 2 * math.pi / TICKS_PER_TURN
RAD_S_PER_VELOCITY = 0.229 * 2 * math.pi / 60
"""Velocity registers count 0.229 rev/min."""
RAD_S2_PER_ACCELERATION = 214.577 * 2 * math.pi / 3600
"""Profile Acceleration counts 214.577 rev/min^2."""
WATCHDOG_S = 0.02
"""Bus Watchdog counts 20 ms."""
VOLT = 0.1
FULL_PWM = 885
"""Goal PWM and PWM Limit count 0.113 %, so that 885 is 100 %."""
LOAD_FRACTION = 0.001
"""Present Load counts 0.1 % of stall."""
EEPROM_END = 64
"""Registers below this address keep their value without power and are locked while torque is on."""

_READ_ONLY = {
    "model_number",
    "model_information",
    "firmware_version",
    "registered_instruction",
    "hardware_error_status",
    "realtime_tick",
    "moving",
    "moving_status",
    "velocity_trajectory",
    "position_trajectory",
}
_SIGNED = {
    "homing_offset",
    "bus_watchdog",
    "goal_pwm",
    "goal_current",
    "goal_velocity",
    "goal_position",
    "present_pwm",
    "present_current",
    "present_load",
    "present_velocity",
    "present_position",
    "velocity_trajectory",
    "position_trajectory",
}


@dataclass(frozen=True)
class Register:
    """One named register in a motor's memory."""

    name: str
    address: int
    size: int
    """Bytes."""
    signed: bool
    writable: bool

    @property
    def end(self) -> int:
        """The address after its last byte."""
        return self.address + self.size

    def decode(self, data: bytes | bytearray) -> int:
        """The value of its little-endian bytes."""
        return int.from_bytes(data, "little", signed=self.signed)

    def encode(self, value: int) -> bytes:
        """Its little-endian bytes.

        Raises:
            HardwareError: the value does not fit.
        """
        try:
            return int(value).to_bytes(self.size, "little", signed=self.signed)
        except OverflowError:
            raise HardwareError(f"{self.name} has {self.size} bytes and cannot hold {value}") from None


@dataclass(frozen=True)
class ControlTable:
    """The registers of a motor model and their units."""

    model: str
    """As ROBOTIS spells it, e.g. `XL430-W250`."""
    number: int
    """Model number in the reply to a ping."""
    registers: Mapping[str, Register]
    factory: Mapping[str, int]
    """Values after a factory reset; registers not named are 0."""
    stall_current_a: float
    """At the recommended voltage."""
    current_a: float | None
    """Ampere per count of current; None where the motor has no current sensor and reports load instead."""
    nominal_v: float

    @property
    def effort_scale(self) -> float:
        """Ampere per count of effort; fraction of stall where the motor reports load."""
        return LOAD_FRACTION if self.current_a is None else self.current_a

    @property
    def modes(self) -> tuple[int, ...]:
        """Operating modes it accepts: 0 current, 1 velocity, 3 position, 4 multi-turn, 5 current-limited, 16 PWM."""
        return (1, 3, 4, 16) if self.current_a is None else (0, 1, 3, 4, 5, 16)

    def register(self, name: str) -> Register:
        """The register of that name.

        Raises:
            HardwareError: this model does not have it; the message lists its registers.
        """
        try:
            return self.registers[name]
        except KeyError:
            raise HardwareError(
                f"{self.model} has no register {name!r}; it has: {', '.join(sorted(self.registers))}"
            ) from None


@dataclass(frozen=True)
class _ModelSpec:
    stall_current_a: float
    current_a: float | None
    nominal_v: float
    volts: tuple[int, int]
    """Factory voltage limits, 0.1 V."""
    temperature: int
    velocity: int
    """Factory velocity limit."""
    shutdown: int
    gain: int
    """Factory Position P Gain."""
    current: int = 0
    """Factory current limit."""


_MODEL_SPECS = {
    "XL430-W250": _ModelSpec(1.4, None, 12.0, (60, 140), 72, 265, 52, 800),
    "XL330-M288": _ModelSpec(1.47, 0.001, 5.0, (35, 70), 70, 445, 53, 400, 1750),
    "XL330-M077": _ModelSpec(1.47, 0.001, 5.0, (35, 70), 70, 1620, 53, 400, 1750),
    "XC330-T288": _ModelSpec(0.8, 0.001, 11.1, (55, 140), 70, 320, 52, 900, 910),
    "XC430-W150": _ModelSpec(1.4, None, 12.0, (60, 160), 80, 460, 52, 460),
    "XM430-W350": _ModelSpec(2.3, 0.00269, 12.0, (95, 160), 80, 200, 52, 800, 1193),
    "XM540-W270": _ModelSpec(4.4, 0.00269, 12.0, (95, 160), 80, 128, 52, 800, 2047),
}
MODELS = tuple(_MODEL_SPECS)


@cache
def load_table(model: str) -> ControlTable:
    """The control table of a model named like `XL430-W250`; case does not matter.

    Raises:
        ConfigError: an unknown model; the message lists the known ones.
    """
    name = model.upper().replace("_", "-")
    if name not in _MODEL_SPECS:
        raise ConfigError(f"unknown motor model {model!r}; known: {', '.join(MODELS)}")
    stem = name.lower().replace("-", "_")
    facts = _MODEL_SPECS[name]
    registers = {register.name: register for register in _parse(_folder() / f"{stem}.model")}
    return ControlTable(
        model=name,
        number=_numbers()[stem],
        registers=registers,
        factory=_factory(facts, registers),
        stall_current_a=facts.stall_current_a,
        current_a=facts.current_a,
        nominal_v=facts.nominal_v,
    )


def model_name(number: int) -> str:
    """The name of a model number, also of models without a control table here."""
    stem = next((stem for stem, known in _numbers().items() if known == number), "")
    return stem.upper().replace("_", "-") or f"model {number}"


def _factory(facts: _ModelSpec, registers: Mapping[str, Register]) -> dict[str, int]:
    values = {
        "id": 1,
        "baud_rate": 1,
        "return_delay_time": 250,
        "operating_mode": 3,
        "secondary_id": 255,
        "protocol_type": 2,
        "moving_threshold": 10,
        "temperature_limit": facts.temperature,
        "min_voltage_limit": facts.volts[0],
        "max_voltage_limit": facts.volts[1],
        "pwm_limit": FULL_PWM,
        "current_limit": facts.current,
        "velocity_limit": facts.velocity,
        "max_position_limit": TICKS_PER_TURN - 1,
        "shutdown": facts.shutdown,
        "status_return_level": 2,
        "position_p_gain": facts.gain,
    }
    return {name: value for name, value in values.items() if name in registers}


def _folder() -> Path:
    spec = importlib.util.find_spec("dynamixel_easy_sdk")
    if spec is None or not spec.submodule_search_locations:
        raise HardwareError(
            "the installed dynamixel-sdk contains no control tables; 4.1 or newer does",
            hint="pip install -U dynamixel-sdk",
        )
    return Path(spec.submodule_search_locations[0]) / "control_table"


@cache
def _numbers() -> dict[str, int]:
    lines = (_folder() / "dynamixel.model").read_text("utf-8").splitlines()[1:]
    rows = (line.split() for line in lines if line.strip())
    return {file.removesuffix(".model"): int(number) for number, file in rows}


def _parse(path: Path) -> list[Register]:
    rows = path.read_text("utf-8").split("[control table]")[1].split("\n")[2:]
    registers = []
    for row in rows:
        fields = row.strip().split("\t")
        if len(fields) != 3 or fields[2].startswith("Indirect"):
            continue
        name = re.sub(r"\W+", "_", re.sub(r"\(.*?\)", "", fields[2]).strip().lower())
        writable = name not in _READ_ONLY and not name.startswith("present_")
        registers.append(Register(name, int(fields[0]), int(fields[1]), name in _SIGNED, writable))
    return registers
