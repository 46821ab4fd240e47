"""The client of the live twin's scene: calls over pipes."""

import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import HardwareError
from ebt_data.step import Image
from ebt_hardware.emulator.emulator import GoalWrite

CALL_TIMEOUT_S = 10.0


class PipeClient:
    """Makes calls over a pipe, one at a time, from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def call(self, request: Any) -> Any:
        """Send `request` to the child and return its answer.

        Raises:
            EbtError: the child raised it; HardwareError if the child has ended or does not answer.
        """
        with self._lock:
            try:
                self._connection.send(request)
            except OSError as error:
                raise _stopped_error() from error
            return self.receive(CALL_TIMEOUT_S)

    def receive(self, timeout_s: float) -> Any:
        """Wait for the child's next message and return it; raises as `call` does."""
        try:
            if not self._connection.poll(timeout_s):
                raise HardwareError(f"the live twin has not answered for {timeout_s:g} s", hint="start it again")
            error, answer = self._connection.recv()
        except (EOFError, OSError) as failure:
            raise _stopped_error() from failure
        if error is not None:
            raise error
        return answer


def _stopped_error() -> HardwareError:
    return HardwareError("the live twin has stopped", hint="start it again; its last output is above")


class LiveScene:
    """The live twin's `Scene`, and fault injection."""

    def __init__(self, client: PipeClient, images: PipeClient) -> None:
        self._client = client
        self._images = images  # a separate pipe, so that an image never delays the loop

    def reset(self, seed: int) -> None:
        """Reset the objects' poses; the same seed gives the same poses."""
        self._call("reset", seed)

    def succeeded(self) -> bool:
        """True while the task's success test holds."""
        return bool(self._call("succeeded"))

    def privileged(self) -> Mapping[str, NDArray[np.float32]]:
        """Poses by name, as in `TwinWorld.privileged`: [7] = position m, quaternion wxyz."""
        poses: Mapping[str, NDArray[np.float32]] = self._call("privileged")
        return poses

    def lifted(self) -> bool:
        """True while the gripper holds the task's object up."""
        return bool(self._call("lifted"))

    def disturb(self, kind: str) -> None:
        """Physically disturb the scene.

        Raises:
            MisuseError: the task has no such disturbance; the message lists them.
        """
        self._call("disturb", kind)

    def demonstrate(self) -> None:
        """Let the scripted operator demonstrate the task once with the leader arm, from the next tick on."""
        self._call("demonstrate")

    def demonstrating(self) -> bool:
        """False once the scripted operator has released the leader arm."""
        return bool(self._call("demonstrating"))

    def picture(self, height: int, width: int) -> Image:
        """A third-person view for display, never for policies."""
        image: Image = self._images.call((height, width))
        return image

    def log(self, arm: str) -> list[GoalWrite]:
        """Goal positions sent to the arm's motors, stamped with `time.monotonic`."""
        writes: list[GoalWrite] = self._call("log", arm)
        return writes

    def stall(self, camera: str) -> None:
        """Stall a camera."""
        self._call("stall", camera, True)

    def resume(self, camera: str) -> None:
        """Let a stalled camera continue."""
        self._call("stall", camera, False)

    def drop_next(self, camera: str, count: int) -> None:
        """Drop a camera's next `count` frames."""
        self._call("drop_next", camera, count)

    def unplug(self, arm: str) -> None:
        """Hang up an arm's pty, as unplugging its adapter does."""
        self._call("plug", arm, False)

    def skipped_s(self) -> float:
        """Seconds of wall time that the twin skipped because the machine could not keep up."""
        return float(self._call("skipped_s"))

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._client.call((name, arguments))
