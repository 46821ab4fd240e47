"""The live twin's scene, as seen from the client: calls over pipes."""

import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import HardwareError
from ebt_data.step import Image
from ebt_hardware.emulator.emulator import GoalWrite

ANSWER_S = 10.0


class Talk:
    """One call at a time over a pipe, from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def ask(self, question: Any) -> Any:
        """The child's answer.

        Raises:
            EbtError: what the child raised; HardwareError where it has ended or does not answer.
        """
        with self._lock:
            try:
                self._connection.send(question)
            except OSError as error:
                raise _gone() from error
            return self.hear(ANSWER_S)

    def hear(self, timeout_s: float) -> Any:
        try:
            if not self._connection.poll(timeout_s):
                raise HardwareError(f"the live twin has not answered for {timeout_s:g} s", hint="start it again")
            error, answer = self._connection.recv()
        except (EOFError, OSError) as trouble:
            raise _gone() from trouble
        if error is not None:
            raise error
        return answer


def _gone() -> HardwareError:
    return HardwareError("the live twin has stopped", hint="start it again; its last output is above")


class LiveScene:
    """The live twin's `Scene`, and its faults."""

    def __init__(self, talk: Talk, pictures: Talk) -> None:
        self._talk = talk
        self._pictures = pictures  # a pipe of their own, so that a picture never delays the loop

    def reset(self, seed: int) -> None:
        """Lay the objects out anew, the same for the same seed."""
        self._call("reset", seed)

    def succeeded(self) -> bool:
        """True while the task's success test holds."""
        return bool(self._call("succeeded"))

    def privileged(self) -> Mapping[str, NDArray[np.float32]]:
        """Poses by name, as `TwinWorld.privileged` has them: [7] = position m, quaternion wxyz."""
        poses: Mapping[str, NDArray[np.float32]] = self._call("privileged")
        return poses

    def lifted(self) -> bool:
        """True while the task's object is up in the grip."""
        return bool(self._call("lifted"))

    def disturb(self, kind: str) -> None:
        """Physically disturb the scene.

        Raises:
            MisuseError: the task has no such disturbance; the message lists them.
        """
        self._call("disturb", kind)

    def demonstrate(self) -> None:
        """Let the scripted operator take the leader arm and do the task once, from the next tick on."""
        self._call("demonstrate")

    def demonstrating(self) -> bool:
        """False once the scripted operator has let go of the leader arm."""
        return bool(self._call("demonstrating"))

    def picture(self, height: int, width: int) -> Image:
        """A third-person view for display, never for policies."""
        image: Image = self._pictures.ask((height, width))
        return image

    def log(self, arm: str) -> list[GoalWrite]:
        """Goal positions that the arm's motors were sent, stamped with `time.monotonic`."""
        writes: list[GoalWrite] = self._call("log", arm)
        return writes

    def stall(self, camera: str) -> None:
        """Let a camera hang."""
        self._call("stall", camera, True)

    def resume(self, camera: str) -> None:
        """Let a stopped camera continue."""
        self._call("stall", camera, False)

    def drop_next(self, camera: str, count: int) -> None:
        """Lose a camera's next `count` frames."""
        self._call("drop_next", camera, count)

    def unplug(self, arm: str) -> None:
        """Hang up an arm's pty, as pulling the adapter out does."""
        self._call("plug", arm, False)

    def lost_s(self) -> float:
        """Seconds for which the twin stood still because the machine could not keep up."""
        return float(self._call("lost_s"))

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._talk.ask((name, arguments))
