"""The way back: along poses that were really held, or a short way straight towards one.

BackOff(path, goal, Grippers(joints, open), rules, rate_hz)
    .stuck(position) -> bool     .next() -> Joints | None, None once arrived     .goal
towards(pose, target, joints, limit_rad) -> (pose, rad)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Joints


@dataclass(frozen=True)
class BackOffRules:
    """How the arms go back. Lifting, opening and returning to the start helped most in our early trials."""

    clear_rad: float = 0.3
    """Way out of the contact, counted in its fastest joint: before the grippers open, or as far as a lift goes."""
    speed_rad_s: float = 1.0
    """Of the fastest joint; all joints of all arms slow down together with it."""
    open_rad_s: float = 2.0
    """Of the grippers while they open; the arms wait for them."""
    open_s: float = 0.3
    """How long they get to follow and to let go."""
    shortcut_rad: float = 0.05
    """Poses closer than this in every joint are one: loops between them are left out."""
    error_rad: float = 0.25
    """Tracking error of a joint that is too much; grippers are exempt, since what they hold keeps them from closing."""
    error_s: float = 0.3
    """How long it may last before the way back is given up."""


@dataclass(frozen=True)
class Grippers:
    """Which joints are grippers, and where they are open."""

    joints: tuple[bool, ...]
    """[J]"""
    open: Joints | None = None
    """A pose in which they are: the first of the episode. Only the grippers' entries are read. None: they stay."""


class BackOff:
    """Walks a recorded path backwards in bounded steps: first with the grippers as they are, then with them open.

    Where they are to stay as they are, it walks to the end at once.
    """

    def __init__(self, path: Sequence[Joints], goal: Joints, grippers: Grippers, rules: BackOffRules, rate_hz: float):
        """Go from `goal`, what the arms were last told, to `path[0]`; `path` is measured poses, oldest first."""
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
        self._behind = 0

    @property
    def goal(self) -> Joints:
        """What the arms were last told."""
        return self._goal

    def stuck(self, position: Joints) -> bool:
        """True once a joint has been far from its goal for too long; call it once a tick."""
        far = np.abs(position - self._goal)[~self._grippers] > self._rules.error_rad
        self._behind = self._behind + 1 if far.any() else 0
        return self._behind >= self._error_steps

    def next(self) -> Joints | None:
        """The next goal, None once the arms are back and the grippers open."""
        if self._path and self._clear_rad > 0:
            self._clear_rad -= self._walk()
        elif self._approach(self._open, self._grippers, self._open_step_rad) > 0:
            pass
        elif self._open_steps > 0:
            self._open_steps -= 1
        elif self._path:
            self._walk()
        else:
            return None
        return self._goal.copy()

    def _walk(self) -> float:
        """One step along the path, past as many poses as it reaches; returns how far that was, in rad."""
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
    """Move the chosen joints together, the fastest by at most `limit_rad`; returns the pose and how far that was."""
    way = np.where(joints, target - pose, 0).astype(np.float32)
    longest = float(np.abs(way).max())
    if longest > limit_rad:
        way *= np.float32(limit_rad / longest)
    return pose + way, min(longest, limit_rad)


def _without_loops(path: Sequence[Joints], joints: NDArray[np.bool_], near_rad: float) -> list[Joints]:
    """The path with every detour cut out that came back to where it had been; gripper motion does not count."""
    kept: list[Joints] = []
    poses = np.stack(path)[:, joints]
    now = len(path) - 1
    while now >= 0:
        kept.append(path[now])
        near = np.abs(poses[: now + 1] - poses[now]).max(axis=1) <= near_rad
        now = min(int(np.argmax(near)), now - 1)
    return kept[::-1]
