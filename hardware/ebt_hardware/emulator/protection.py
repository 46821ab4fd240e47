"""How an emulated motor warms up under load, and the faults it detects in itself.

The model is that of a motor; the constants are assumed, not measured: nothing here was compared with a real motor.
"""

from enum import IntFlag

_AMBIENT_C = 25.0
_RISE_C = 120.0  # above ambient, steady state at stall; heat is proportional to the square of the current
_TIME_CONSTANT_S = 240.0
_OVERLOAD_EFFORT = 0.95
_OVERLOAD_S = 5.0


class HardwareErrorBit(IntFlag):
    """Hardware Error Status(70) and Shutdown(63)."""

    VOLTAGE = 1
    OVERHEATING = 4
    ENCODER = 8
    ELECTRICAL_SHOCK = 16
    OVERLOAD = 32


class Protection:
    """One motor's temperature and the duration of its overload."""

    def __init__(self) -> None:
        self.temperature_c = _AMBIENT_C
        self._overload_s = 0.0

    def reset(self) -> None:
        """Clear the overload time, as a reboot does; the temperature stays."""
        self._overload_s = 0.0

    def advance(self, effort: float, dt_s: float) -> None:
        """Advance by `dt_s` at this fraction of stall."""
        final = _AMBIENT_C + _RISE_C * effort * effort
        self.temperature_c += (final - self.temperature_c) * min(1.0, dt_s / _TIME_CONSTANT_S)
        self._overload_s = self._overload_s + dt_s if abs(effort) >= _OVERLOAD_EFFORT else 0.0

    def errors(self, voltage: int, volts: tuple[int, int], temperature_limit: int) -> HardwareErrorBit:
        """Present faults; voltages in 0.1 V."""
        errors = HardwareErrorBit(0)
        if not volts[0] <= voltage <= volts[1]:
            errors |= HardwareErrorBit.VOLTAGE
        if self.temperature_c >= temperature_limit:
            errors |= HardwareErrorBit.OVERHEATING
        if self._overload_s >= _OVERLOAD_S:
            errors |= HardwareErrorBit.OVERLOAD
        return errors
