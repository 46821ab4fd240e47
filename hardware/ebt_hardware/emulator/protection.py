"""How an emulated motor warms up under load, and the faults it detects in itself.

The shape is a motor's; the constants are chosen, not measured: nothing here was compared with a real one.
"""

from enum import IntFlag

_AMBIENT_C = 25.0
_RISE_C = 120.0  # above ambient, for ever at stall; heat goes with the square of the current
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
    """One motor's temperature and how long it has been straining."""

    def __init__(self) -> None:
        self.temperature_c = _AMBIENT_C
        self._strained_s = 0.0

    def rest(self) -> None:
        """Forget the strain, as a reboot does; the heat stays."""
        self._strained_s = 0.0

    def advance(self, effort: float, dt_s: float) -> None:
        """Let time pass at this fraction of stall."""
        final = _AMBIENT_C + _RISE_C * effort * effort
        self.temperature_c += (final - self.temperature_c) * min(1.0, dt_s / _TIME_CONSTANT_S)
        self._strained_s = self._strained_s + dt_s if abs(effort) >= _OVERLOAD_EFFORT else 0.0

    def errors(self, voltage: int, volts: tuple[int, int], temperature_limit: int) -> HardwareErrorBit:
        """What is wrong now; voltages in 0.1 V."""
        found = HardwareErrorBit(0)
        if not volts[0] <= voltage <= volts[1]:
            found |= HardwareErrorBit.VOLTAGE
        if self.temperature_c >= temperature_limit:
            found |= HardwareErrorBit.OVERHEATING
        if self._strained_s >= _OVERLOAD_S:
            found |= HardwareErrorBit.OVERLOAD
        return found
