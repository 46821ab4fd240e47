"""The protocol of a twin task: objects, reset, success test, disturbances and scripted demonstration.

To add one, write a class that implements `Task`: all of the task's objects, limits and disturbances are
in its file. Run it by path, `--task ./my_task.py:MyTask`, or add it to `tasks.registry.TASKS` and a recipe with
`task = "my_task"`. `motions` has motion primitives for demonstrations, `push` pushes that disturb an
object, `goal` a movable goal; docs/tasks.md has a complete example.
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
    """[7] pose by object name."""


Demonstration = Generator[HandTarget, View, None]


class Task(Protocol):
    """One class in one file, made without arguments; `tasks.registry.TASKS` lists the shipped ones.

    The world frame is the follower's base frame: x forward, y left, z up from the table's top, metres.
    """

    longest_s: ClassVar[float]
    """Default time limit of a demonstration or rollout, retries included."""
    disturbances: ClassVar[tuple[str, ...]]
    """The disturbances that `disturb` accepts."""

    def xml(self) -> str:
        """MJCF bodies of the task's objects; those that move need a free joint, movable goals are mocap bodies."""
        ...

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Place the objects from `rng` alone, at rest, and stop any current disturbance."""
        ...

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Continue a current disturbance; called every 10 ms."""
        ...

    def succeeded(self, data: mujoco.MjData) -> bool:
        """True while the task is done; a rollout succeeds if this holds for some time."""
        ...

    def lifted(self, data: mujoco.MjData) -> bool:
        """True while the gripper holds the object up; disturbances are triggered then."""
        ...

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]:
        """[7] pose (position m, quaternion wxyz) by object and movable goal, in the world frame.

        Recorded with the poses relative to the hand, used by the operator, hidden from policies that don't request it.
        """
        ...

    def disturb(self, data: mujoco.MjData, kind: str) -> None:
        """Start one of `disturbances`, which `before_step` continues: by forces or by sliding a goal, no teleport."""
        ...

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """The demonstration: yields a target every operator tick for the View sent; returns when done."""
        ...
