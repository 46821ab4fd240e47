"""What a twin task is: objects, a reset, a success test, disturbances, and how the operator does it.

To add one, write a class that implements `Task`: its file is the only place with the task's objects, limits and
disturbances. Run it by path, `--task ./my_task.py:MyTask`, or give it a line in `tasks.TASKS` and a recipe with
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
    """The operator's next gripper target, in the follower's base frame, hand pointing down."""

    position: tuple[float, float, float]
    """m, of the point between the finger tips."""
    yaw: float
    """rad, direction of the closing motion."""
    gripper: float
    """rad of the gripper motor, 0 closed."""
    careful: bool = False
    """Slow down and correct until the follower is there."""


@dataclass(frozen=True)
class View:
    """The operator's observation: the true state, since human vision is accurate enough."""

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
    """How long a demonstration or rollout may take by default, retries included."""
    disturbances: ClassVar[tuple[str, ...]]
    """The disturbances that `disturb` accepts."""

    def xml(self) -> str:
        """MJCF bodies of the task's objects; those that move need a free joint, goals that move are mocap bodies."""
        ...

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Place the objects from `rng` alone, at rest, and end a current disturbance."""
        ...

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Continue a current disturbance; called every 10 ms."""
        ...

    def succeeded(self, data: mujoco.MjData) -> bool:
        """True while the task is done; a rollout succeeds where that lasts."""
        ...

    def lifted(self, data: mujoco.MjData) -> bool:
        """True while the object is up in the grip: the moment that a disturbance waits for."""
        ...

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]:
        """[7] pose (position m, quaternion wxyz) by object and by goal that moves, in the world frame.

        Recorded with the poses relative to the hand, used by the operator, hidden from policies that don't request it.
        """
        ...

    def disturb(self, data: mujoco.MjData, kind: str) -> None:
        """Start one of `disturbances`, which `before_step` continues: by forces, or sliding a goal; never by teleport."""
        ...

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """The demonstration: yields a target every operator tick for the View sent; returns when done."""
        ...
