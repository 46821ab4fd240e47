"""The interface of a toy: a batch of small simulated worlds, each with a scripted operator who can do the task.

Shapes: N worlds, J joints, S numbers of state, T steps. Lengths are in widths of the field, times in steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.bool_]
"""[N], which worlds."""
Array = NDArray[np.float64]


class View(NamedTuple):
    """Observations of every world."""

    position: NDArray[np.float32]
    """[N, J], of the hand and its gripper."""
    state: NDArray[np.float32]
    """[N, S], vectors from the hand to the objects and goals, then flags of 0 or 1."""


class Operator(Protocol):
    """A scripted operator who does the task, with internal state."""

    def act(self) -> Array:
        """The goal [N, J] for the next step."""
        ...


class Toy(Protocol):
    """N worlds that advance together; a row depends only on its own seed and goals."""

    name: ClassVar[str]
    joints: ClassVar[int]
    state_size: ClassVar[int]
    longest: ClassVar[int]
    """Steps until the time-out, which is a failure."""
    disturbances: ClassVar[tuple[str, ...]]
    multimodal: ClassVar[bool]
    """Whether the mean of two good actions is a bad one."""
    speed: ClassVar[tuple[float, ...]]
    """[J], the most that each joint moves in a step."""

    @property
    def succeeded(self) -> Rows: ...

    @property
    def over(self) -> Rows:
        """Succeeded, failed or timed out; such a world no longer changes."""
        ...

    def reset(self, seeds: Sequence[int]) -> None:
        """A fresh world for each seed."""
        ...

    def observe(self) -> View: ...

    def step(self, goal: Array | NDArray[np.float32]) -> None:
        """Move every hand towards its goal [N, J], an absolute position, as far as its speed allows."""
        ...

    def disturb(self, kind: str, rows: Rows) -> None:
        """Start a disturbance in these worlds; it acts over several steps, as soon as it can.

        Raises:
            ValueError: `kind` is not one of `disturbances`.
        """
        ...

    def operator(self) -> Operator:
        """A scripted operator for every world, from `reset` to the end; it may read the hidden state."""
        ...


@dataclass(frozen=True)
class Demonstration:
    """One successful run of an operator. Row t: the observation, then the action."""

    position: NDArray[np.float32]
    """[T, J]"""
    state: NDArray[np.float32]
    """[T, S]"""
    action: NDArray[np.float32]
    """[T, J], goals"""


def demonstrations(toy: type[Toy], count: int, seed: int) -> list[Demonstration]:
    """Successful runs of the operator, always the same for one seed.

    The worlds' seeds are above 2**32, so that no policy is evaluated on a world it was trained on.
    """
    rng = np.random.default_rng(seed)
    successes: list[Demonstration] = []
    while len(successes) < count:
        runs, succeeded = _run(toy, rng.integers(2**32, 2**62, size=count - len(successes) + 8).tolist())
        successes += [run for run, success in zip(runs, succeeded, strict=True) if success]
    return successes[:count]


def operator_success(toy: type[Toy], seeds: Sequence[int]) -> float:
    """The share of these worlds in which the operator succeeds."""
    return float(_run(toy, seeds)[1].mean())


def _run(toy: type[Toy], seeds: Sequence[int]) -> tuple[list[Demonstration], Rows]:
    worlds = toy()
    worlds.reset(seeds)
    operator = worlds.operator()
    rows, lengths = [], np.zeros(len(seeds), np.int64)
    while not worlds.over.all():
        lengths += ~worlds.over
        view, goal = worlds.observe(), operator.act()
        rows.append((view.position, view.state, goal.astype(np.float32)))
        worlds.step(goal)
    position, state, action = (np.stack(column, axis=1) for column in zip(*rows, strict=True))
    runs = [Demonstration(position[i, :t], state[i, :t], action[i, :t]) for i, t in enumerate(lengths)]
    return runs, worlds.succeeded
