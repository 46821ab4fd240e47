"""Back-off motions: along measured poses, or a short straight motion towards one.

BackOff(path, goal, Grippers(joints, open), rules, rate_hz)
    .stuck(position) -> bool     .next() -> Joints | None, None at the end     .goal
towards(pose, target, joints, limit_rad) -> (pose, rad)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Joints


@dataclass(frozen=True)
class BackOffRules:
    """How the arms back off. Lifting, opening and returning to the start helped most in our early trials."""

    clear_rad: float = 0.3
    """Distance out of the contact, in its fastest joint: before the grippers open, or the length of a lift."""
    speed_rad_s: float = 1.0
    """Speed of the fastest joint; all joints of all arms are scaled together."""
    open_rad_s: float = 2.0
    """Speed of the grippers while they open; the arms wait for them."""
    open_s: float = 0.3
    """Time for the grippers to follow and to release."""
    shortcut_rad: float = 0.05
    """Poses closer than this in every joint count as the same: loops between them are skipped."""
    error_rad: float = 0.25
    """Limit of a joint's tracking error; grippers are exempt, since a held object keeps them from closing."""
    error_s: float = 0.3
    """How long the limit may be exceeded before the back-off is given up."""


@dataclass(frozen=True)
class Grippers:
    """Which joints are grippers, and their open positions."""

    joints: tuple[bool, ...]
    """[J]"""
    open: Joints | None = None
    """The first pose of the episode, with open grippers; only their entries are read. None: they do not move."""


class BackOff:
    """Follows a recorded path backwards in bounded steps: out of the contact, then with the grippers open to its start.

    If the grippers do not move, it follows the path without a stop.
    """

    def __init__(self, path: Sequence[Joints], goal: Joints, grippers: Grippers, rules: BackOffRules, rate_hz: float):
        """Move from `goal`, the last goal sent, to `path[0]`; `path` has the measured poses, oldest first."""
        self._grippers = np.array(grippers.joints)
        self._open = goal if grippers.open is None else grippers.open
        self._path = _without_loops(path, ~self._grippers, rules.shortcut_rad)
        self._goal = goal.copy()
        self._rules = rules
        self._step_rad = rules.speed_rad_s / rate_hz
        self._open_step_rad = rules.open_rad_s / rate_hz
        self._clear_rad = rules.clear_rad
        self._open_steps = 0 if grippers.open is None else round(rules.open_s * rate_hz)
        self._error_steps = max(1, round(rules.error_s * rate_hz))
        self._lagging_steps = 0

    @property
    def goal(self) -> Joints:
        """The last goal of the arms."""
        return self._goal

    def stuck(self, position: Joints) -> bool:
        """Whether a joint's tracking error has exceeded its limit for too long; call it once a tick."""
        far = np.abs(position - self._goal)[~self._grippers] > self._rules.error_rad
        self._lagging_steps = self._lagging_steps + 1 if far.any() else 0
        return self._lagging_steps >= self._error_steps

    def next(self) -> Joints | None:
        """The next goal, None once the arms have arrived and the grippers are open."""
        if self._path and self._clear_rad > 0:
            self._clear_rad -= self._follow_path()
        elif self._approach(self._open, self._grippers, self._open_step_rad) > 0:
            pass
        elif self._open_steps > 0:
            self._open_steps -= 1
        elif self._path:
            self._follow_path()
        else:
            return None
        return self._goal.copy()

    def _follow_path(self) -> float:
        """Take one step along the path, past as many poses as it reaches; returns its length, in rad."""
        left = self._step_rad
        while self._path and left > 0:
            moved = self._approach(self._path[-1], ~self._grippers, left)
            left -= moved
            if left > 0:
                self._path.pop()
        return self._step_rad - left

    def _approach(self, target: Joints, joints: NDArray[np.bool_], limit_rad: float) -> float:
        self._goal, moved = towards(self._goal, target, joints, limit_rad)
        return moved


def towards(pose: Joints, target: Joints, joints: NDArray[np.bool_], limit_rad: float) -> tuple[Joints, float]:
    """Move the chosen joints together, the fastest by at most `limit_rad`; returns the pose and the distance."""
    offset = np.where(joints, target - pose, 0).astype(np.float32)
    longest = float(np.abs(offset).max())
    if longest > limit_rad:
        offset *= np.float32(limit_rad / longest)
    return pose + offset, min(longest, limit_rad)


def _without_loops(path: Sequence[Joints], joints: NDArray[np.bool_], near_rad: float) -> list[Joints]:
    """The path without loops that return to an earlier pose; gripper motion does not count."""
    kept: list[Joints] = []
    poses = np.stack(path)[:, joints]
    now = len(path) - 1
    while now >= 0:
        kept.append(path[now])
        near = np.abs(poses[: now + 1] - poses[now]).max(axis=1) <= near_rad
        now = min(int(np.argmax(near)), now - 1)
    return kept[::-1]
