"""What a twin task is: objects, a reset, a success test, disturbances, and how a person would do it.

To add one, write a class with what `Task` asks for: its file is the only place that knows the task's objects, limits and
disturbances. Run it by path, `--task ./my_task.py:MyTask`, or give it a line in `tasks.TASKS` and a recipe that says
`task = "my_task"`. `motions` has the parts that demonstrations are made of, `push` a finger that disturbs, `goal` a
goal that moves; docs/tasks.md has a whole example.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar, Protocol

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
    """One class in one file, made without arguments; `tasks.TASKS` names those that ship.

    The world frame is the follower's base frame: x forward, y left, z up from the table's top, metres.
    """

    longest_s: ClassVar[float]
    """How long a demonstration or rollout may take where nobody says otherwise, retries included."""
    disturbances: ClassVar[tuple[str, ...]]
    """What `disturb` knows."""

    def xml(self) -> str:
        """MJCF bodies of the task's objects; those that move need a free joint, goals that move are mocap bodies."""
        ...

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Lay the objects out anew from `rng` alone, at rest, and end a disturbance under way."""
        ...

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Go on with a disturbance under way; called every 10 ms."""
        ...

    def succeeded(self, data: mujoco.MjData) -> bool:
        """True while the task is done; a rollout succeeds where that lasts."""
        ...

    def lifted(self, data: mujoco.MjData) -> bool:
        """True while the object is up in the grip: the moment that a disturbance waits for."""
        ...

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]:
        """[7] pose (position m, quaternion wxyz) by object and by goal that moves, in the world frame.

        Recorded with what `hand.seen_from_hand` makes of it, seen by the operator, hidden from policies that don't ask.
        """
        ...

    def disturb(self, data: mujoco.MjData, kind: str) -> None:
        """Begin one of `disturbances`, which `before_step` goes on with: by forces, or sliding a goal; never by teleport."""
        ...

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """How a person would do it: yields a target every operator tick for the View sent; returns when done."""
        ...
