"""What goes wrong between the host and its motors."""

from collections.abc import Sequence

from ebt_data.errors import HardwareError


class BusLost(HardwareError):
    """The motors can no longer be reached: unplugged, without power, or too many answers missed in a row."""

    def __init__(self, port: str, reason: str) -> None:
        super().__init__(f"lost the motors on {port}: {reason}", hint="check the plug and the power, then: ebt doctor")


class MotorSilent(BusLost):
    """One or more motors do not answer."""

    def __init__(self, port: str, missing: Sequence[int], found: Sequence[int], note: str = "") -> None:
        silent = f"{_motors(missing)} {'does' if len(missing) == 1 else 'do'} not answer{note}"
        super().__init__(port, f"{silent}; found {_motors(found) if found else 'none at all'}")
        self.missing = tuple(missing)
        self.found = tuple(found)
        self.hint = "check power and the cable to the first silent motor, then: ebt doctor"


class PortError(HardwareError):
    """A serial port that cannot be opened."""


class WrongMotors(HardwareError):
    """Motors that are not the ones the bench file describes."""


class Refused(HardwareError):
    """Motors that answered a write with an error."""


def _motors(ids: Sequence[int]) -> str:
    listed = ", ".join(str(motor_id) for motor_id in ids)
    return f"motor {listed}" if len(ids) == 1 else f"motors {listed}"
