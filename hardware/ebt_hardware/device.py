"""The interfaces that real devices and their simulations share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Frame, Image

Ticks = NDArray[np.int32]  # [M] motor units, 4096 per turn


@dataclass(frozen=True)
class MotorState:
    """One synchronous read of every motor on a bus, in the order of its ids."""

    position: Ticks
    velocity: Ticks
    """[M] in the model's unit, 0.229 rev/min."""
    effort: Ticks
    """[M] current in the model's unit, or load in 0.1 % on models without a current sensor."""
    alert: NDArray[np.bool_]
    """[M] the alert bit of each status packet: the motor requests that its hardware-error register be read."""
    fresh: NDArray[np.bool_]
    """[M] False where a motor did not answer and the values are those of the previous read."""


class Clock(Protocol):
    """Time on the bench: wall time, or the twin's lock-step time."""

    def start(self) -> None:
        """Set the current time to 0 and the next tick to one period later."""
        ...

    def now(self) -> float:
        """Seconds since `start`."""
        ...

    def wait(self) -> int:
        """Return at the next tick, with how many ticks were missed since the last one."""
        ...


class Camera(Protocol):
    """A colour camera that always has a latest frame."""

    def latest(self, now_s: float) -> Frame:
        """The latest frame; its age is measured at `now_s` on the bench clock.

        Raises:
            HardwareError: no frame for longer than the camera's stall limit.
        """
        ...

    def close(self) -> None: ...


class Scene(Protocol):
    """Operations of the twin only: reset the scene, judge success, disturb. A real bench has none."""

    def reset(self, seed: int) -> None:
        """Reset the objects' poses; the same seed gives the same poses."""
        ...

    def succeeded(self) -> bool:
        """True while the task's success test holds."""
        ...

    def privileged(self) -> Mapping[str, NDArray[np.float32]]:
        """Poses by name, as `TwinWorld.privileged` has them: [7] = position m, quaternion wxyz."""
        ...

    def lifted(self) -> bool:
        """True while the gripper holds the task's object up."""
        ...

    def disturb(self, kind: str) -> None:
        """Physically disturb the scene.

        Raises:
            MisuseError: the task has no such disturbance; the message lists them.
        """
        ...

    def demonstrate(self) -> None:
        """Let the scripted operator demonstrate the task once with the leader arm, from the next tick on."""
        ...

    def demonstrating(self) -> bool:
        """False once the scripted operator has released the leader arm."""
        ...

    def picture(self, height: int, width: int) -> Image:
        """A third-person view for display, never for policies."""
        ...
