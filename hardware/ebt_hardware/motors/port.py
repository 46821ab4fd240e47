"""The port used by the SDK: a serial device or a pty."""

import errno
import os
import select
import time

import serial
from dynamixel_sdk import PortHandler

from ebt_hardware.motors.bus_errors import PortError

_CHUNK = 4096
_WRITE_TIMEOUT_S = 0.5  # reached when a pty's server hangs and reads nothing
OPEN_HINTS = {
    errno.ENOENT: "is it plugged in? list the ports with: ebt doctor",
    errno.EACCES: "add your user to the port's group, e.g. sudo usermod -aG dialout $USER, and log in again",
    errno.EAGAIN: "another program has it open; close that first",
    errno.EBUSY: "another program has it open; close that first",
}


class SerialPort(PortHandler):  # type: ignore[misc]  # the SDK ships no types
    """A serial device or pty, opened exclusively, that sleeps while it waits.

    The SDK's own handler polls without pause, which blocks the camera threads.
    """

    def __init__(self, path: str, baudrate: int = 1_000_000) -> None:
        super().__init__(path)
        self.baudrate = baudrate
        self.low_latency = False
        """True where the adapter accepted the 1 ms timer; at the usual 16 ms no baud rate exceeds 60 Hz."""
        self._buffer = bytearray()

    def setupPort(self, cflag_baud: int) -> bool:
        """Open the device.

        Raises:
            PortError: it is absent, in use, not permitted, or does not support this baud rate.
        """
        self.closePort()
        try:
            self.ser = serial.Serial(
                self.port_name, cflag_baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
            )
        except ValueError as error:
            raise PortError(f"{self.port_name} does not support {cflag_baud} baud: {error}") from error
        except OSError as error:  # SerialException among them
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise PortError(
                f"cannot open {self.port_name}: {reason}", hint=OPEN_HINTS.get(error.errno or 0, "")
            ) from error
        self.low_latency = self._lower_latency()
        self.is_open = True
        self.is_using = False
        self.tx_time_per_byte = 10_000 / self.baudrate  # ms; a byte is ten bits long
        self.clearPort()
        return True

    def closePort(self) -> None:
        """Close the device; no effect when it is already closed."""
        if self.ser is not None:
            self.ser.close()
            self.ser = None
        self.is_open = False

    def clearPort(self) -> None:
        """Discard bytes that were received and not read."""
        self._buffer.clear()
        self._device().reset_input_buffer()

    def getBytesAvailable(self) -> int:
        return len(self._buffer) + int(self._device().in_waiting)

    def getCFlagBaud(self, baudrate: int) -> int:
        """Any rate: the SDK's list lacks 4.5 M, which X-series motors and pyserial support."""
        return baudrate

    def readPort(self, length: int) -> bytes:
        """Up to `length` bytes; waits for missing ones until the packet's timeout."""
        buffer = self._buffer
        while len(buffer) < length:
            file = self._device().fileno()
            left_s = max(0.0, self.packet_timeout - self.getTimeSinceStart()) / 1000
            if not select.select([file], [], [], left_s)[0]:
                break
            data = os.read(file, _CHUNK)
            if not data:
                raise serial.SerialException(f"{self.port_name} is gone")
            buffer += data
        taken = bytes(buffer[:length])
        del buffer[:length]
        return taken

    def writePort(self, packet: list[int]) -> int:
        return int(self._device().write(bytes(packet)) or 0)

    def getCurrentTime(self) -> float:
        """Monotonic milliseconds, unlike the SDK's wall time."""
        return time.monotonic() * 1000

    def _device(self) -> serial.Serial:
        if self.ser is None:
            raise serial.SerialException(f"{self.port_name} is not open")
        return self.ser

    def _lower_latency(self) -> bool:
        try:
            self._device().set_low_latency_mode(True)
        except (ValueError, OSError, NotImplementedError, AttributeError):  # a pty, or not Linux
            return False
        return True
