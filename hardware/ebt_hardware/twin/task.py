"""What a twin task is: objects, a reset, a success test, disturbances, and how a person would do it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HandTarget:
    """Where the operator wants the gripper next, in the follower's base frame, hand pointing down."""

    position: tuple[float, float, float]
    """m, of the point between the finger tips."""
    yaw: float
    """rad, direction of the closing motion."""
    gripper: float
    """rad of the gripper motor, 0 closed."""
    careful: bool = False
    """Slow down and correct by eye until the follower is there."""


@dataclass(frozen=True)
class View:
    """What the operator sees: the truth, since a person's eyes are good enough."""

    grasp: NDArray[np.float64]
    """[3] m, the follower's grasp point."""
    gripper: float
    """rad, the follower's gripper."""
    objects: dict[str, NDArray[np.float32]]
    """[7] pose by object."""


Demonstration = Generator[HandTarget, View, None]


class Task(Protocol):
    """One file a task; `twin.world.TASKS` names them."""

    def xml(self) -> str:
        """MJCF bodies of the task's objects."""
        ...

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None: ...

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Apply the forces of a disturbance under way."""
        ...

    def succeeded(self, data: mujoco.MjData) -> bool: ...

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]: ...

    def disturb(self, data: mujoco.MjData, kind: str) -> None: ...

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """How a person would do it: yields a target every operator tick for the View sent; returns when done."""
        ...
