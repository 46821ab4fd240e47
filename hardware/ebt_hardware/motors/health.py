"""A motor's status, with its error bits as text."""

from dataclasses import dataclass

_MEANINGS = {
    0: "input voltage out of range",
    2: "overheating",
    3: "encoder fault",
    4: "electrical shock, or too little power to run",
    5: "overload: it pushed at full effort for too long",
}
"""Bits of Hardware Error Status, https://emanual.robotis.com/docs/en/dxl/x/xl430-w250/#hardware-error-status."""


@dataclass(frozen=True)
class MotorHealth:
    """Status values that change slowly and are read a few times per second at most."""

    temperature_c: float
    voltage_v: float
    error_bits: int
    """Hardware Error Status as read; it keeps a fault until the motor reboots."""

    torque: bool
    """True while torque is on."""
    watchdog_tripped: bool
    """True after its bus watchdog has stopped it; it refuses goals until that is disarmed."""

    @property
    def errors(self) -> tuple[str, ...]:
        """The faults as text; empty without faults."""
        return explain(self.error_bits)


def explain(bits: int) -> tuple[str, ...]:
    """The faults of Hardware Error Status as text."""
    return tuple(_MEANINGS.get(bit, f"unknown fault bit {bit}") for bit in range(8) if bits >> bit & 1)
