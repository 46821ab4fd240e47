"""A port connected to an emulator in the same process."""

import errno

import serial
from dynamixel_sdk import PortHandler

from ebt_hardware.emulator.emulator import Emulator
from ebt_hardware.motors.bus_errors import PortError
from ebt_hardware.motors.port import OPEN_HINTS


class LoopbackPort(PortHandler):  # type: ignore[misc]  # the SDK ships no types
    """A port that calls an emulator directly.

    Replies arrive at once or never, so that a timeout takes no time and a lock-step bench stays deterministic.
    """

    def __init__(self, emulator: Emulator, name: str = "loopback") -> None:
        super().__init__(name)
        self.emulator = emulator
        self._buffer = b""
        self._plugged_in = 0

    def openPort(self) -> bool:
        """Open it.

        Raises:
            PortError: the emulator is unplugged.
        """
        if not self.emulator.plugged:
            raise PortError(f"cannot open {self.port_name}: it is unplugged", hint=OPEN_HINTS[errno.ENOENT])
        self.is_open = True
        self.is_using = False
        self._buffer = b""
        self._plugged_in = self.emulator.unplugs
        return True

    def closePort(self) -> None:
        self.is_open = False

    def setBaudRate(self, baudrate: int) -> bool:
        self.baudrate = baudrate
        return True

    def clearPort(self) -> None:
        self._buffer = b""

    def getBytesAvailable(self) -> int:
        return len(self._buffer)

    def readPort(self, length: int) -> bytes:
        self._check()
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def writePort(self, packet: list[int]) -> int:
        self._check()
        self._buffer += self.emulator.handle(bytes(packet))
        return len(packet)

    def setPacketTimeout(self, packet_length: int) -> None:
        """Nothing to wait for."""

    def setPacketTimeoutMillis(self, msec: float) -> None:
        """Nothing to wait for."""

    def isPacketTimeout(self) -> bool:
        return not self._buffer

    def _check(self) -> None:
        if not self.is_open:
            raise serial.SerialException(f"{self.port_name} is not open")
        if self._plugged_in != self.emulator.unplugs:
            raise serial.SerialException(f"{self.port_name} is gone")
