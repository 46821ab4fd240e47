"""Keyboard teleoperation, one joint at a time.

| key | action |
|---|---|
| `1` to `9`, `0` | select the joint of the arm, in the order of the bench file |
| `up`, `down` | move it one step, +/- `STEP_RAD` |
| `tab` | select the other arm, where there are two |
"""

import numpy as np

from ebt_data.errors import HardwareError
from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_hardware.teleop.keys import JOINT_KEYS, Keys

STEP_RAD = 0.05
MAX_AHEAD_RAD = 0.3  # how far the goal may be ahead of a blocked joint, so that a gripper holds and does not push on


class KeyboardArm:
    """An `Agent` that moves one joint at a time: digits select it, up and down move it; see the module's table."""

    def __init__(self, spec: BenchSpec, keys: Keys, step_rad: float = STEP_RAD) -> None:
        self._step_rad = step_rad
        arms: dict[str, list[int]] = {}
        for place, name in enumerate(spec.joints):
            arms.setdefault(name.rpartition("/")[0], []).append(place)
        self._arms = list(arms.values())
        largest = max(len(arm) for arm in self._arms)
        if largest > len(JOINT_KEYS):
            raise HardwareError(f"the keyboard reaches {len(JOINT_KEYS)} joints an arm, this one has {largest}")
        self._names = spec.joints
        self._arm = 0
        self._joint = 0
        self._goal: Joints = np.zeros(len(spec.joints), np.float32)
        self._read = keys.subscribe(["up", "down", "tab", *JOINT_KEYS[:largest]])

    @property
    def selected_joint(self) -> str:
        """Name of the selected joint."""
        return self._names[self._place]

    @property
    def _place(self) -> int:
        arm = self._arms[self._arm]
        return arm[min(self._joint, len(arm) - 1)]

    def reset(self, observation: Observation) -> None:
        """Start at the arm's current pose; drop keys pressed before."""
        while self._read() is not None:
            pass
        self._goal = observation.position.copy()

    def decide(self, observation: Observation) -> Decision:
        """Apply every key press since the last decision, one step each."""
        while (key := self._read()) is not None:
            if key == "tab":
                self._arm = (self._arm + 1) % len(self._arms)
            elif key in ("up", "down"):
                self._goal[self._place] += self._step_rad if key == "up" else -self._step_rad
            else:
                self._joint = JOINT_KEYS.index(key)
        bounded = np.clip(self._goal, observation.position - MAX_AHEAD_RAD, observation.position + MAX_AHEAD_RAD)
        self._goal = bounded.astype(np.float32)
        return Decision(self._goal.copy(), Actor.HUMAN)
