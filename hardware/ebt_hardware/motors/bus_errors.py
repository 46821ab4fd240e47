"""Errors of the communication with motors."""

from collections.abc import Mapping, Sequence

from ebt_data.errors import HardwareError

_REFUSALS = {
    1: "it failed, as after a shutdown",
    2: "the instruction is unknown",
    3: "the packet arrived corrupted",
    4: "the value is out of range, or the bus watchdog has stopped the motor",
    5: "the length is wrong",
    6: "the value is beyond a limit register",
    7: "the register is read-only, or locked while torque is on",
}
"""Error numbers of a status packet, https://emanual.robotis.com/docs/en/dxl/protocol2/#error."""
_HINTS = {
    1: "find the cause, then reboot the motor or cycle its power",
    4: "a motor that its watchdog stopped accepts goals again once the watchdog is disarmed",
    7: "switch torque off first",
}


class BusLost(HardwareError):
    """The motors can no longer be reached: unplugged, without power, or too many consecutive replies missed."""

    def __init__(self, port: str, reason: str) -> None:
        super().__init__(f"lost the motors on {port}: {reason}", hint="check the plug and the power, then: ebt doctor")


class MotorSilent(BusLost):
    """One or more motors do not answer."""

    def __init__(self, port: str, missing: Sequence[int], found: Sequence[int], note: str = "") -> None:
        silent = f"{_motors(missing)} {'does' if len(missing) == 1 else 'do'} not answer{note}"
        HardwareError.__init__(self, f"{port}: {silent}; found {_motors(found) if found else 'none at all'}")
        self.missing = tuple(missing)
        self.found = tuple(found)
        first = "the cable to the first silent motor" if found else "the cable and the baud rate (factory: 57600)"
        self.hint = f"check power and {first}, then: ebt doctor"


class PortError(HardwareError):
    """A serial port that cannot be opened."""


class WrongMotors(HardwareError):
    """Motors that are not the ones the bench file describes."""


class Refused(HardwareError):
    """Motors that answered a write with an error; `codes` are the low seven bits of their error bytes, by id."""

    def __init__(self, port: str, register: str, codes: Mapping[int, int]) -> None:
        ids: dict[int, list[int]] = {}
        for motor_id, code in codes.items():
            ids.setdefault(code, []).append(motor_id)
        reasons = "; ".join(
            f"{_motors(motors)}: {_REFUSALS.get(code, f'error {code}')}" for code, motors in ids.items()
        )
        super().__init__(f"{register} was refused on {port}: {reasons}", hint=_HINTS.get(min(ids), ""))
        self.codes = dict(codes)


def _motors(ids: Sequence[int]) -> str:
    listed = ", ".join(str(motor_id) for motor_id in ids)
    return f"motor {listed}" if len(ids) == 1 else f"motors {listed}"
