"""Moving an arm with keys, one joint at a time.

| key | does |
|---|---|
| `1` to `9`, `0` | choose the joint of the arm, in the order of the bench file |
| `up`, `down` | move it one step, +/- `STEP_RAD` |
| `tab` | choose the other arm, where there are two |
"""

import numpy as np

from ebt_data.errors import HardwareError
from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_hardware.teleop.keys import JOINT_KEYS, Keys

STEP_RAD = 0.05
AHEAD_RAD = 0.3  # how far the goal may run ahead of a joint that is stopped: a grip, not a push


class KeyboardArm:
    """An `Agent` that moves one joint at a time: digits choose it, up and down move it; see the module's table."""

    def __init__(self, spec: BenchSpec, keys: Keys, step_rad: float = STEP_RAD) -> None:
        self._step_rad = step_rad
        arms: dict[str, list[int]] = {}
        for place, name in enumerate(spec.joints):
            arms.setdefault(name.rpartition("/")[0], []).append(place)
        self._arms = list(arms.values())
        most = max(len(arm) for arm in self._arms)
        if most > len(JOINT_KEYS):
            raise HardwareError(f"the keyboard reaches {len(JOINT_KEYS)} joints an arm, this one has {most}")
        self._names = spec.joints
        self._arm = 0
        self._joint = 0
        self._goal: Joints = np.zeros(len(spec.joints), np.float32)
        self._read = keys.share(["up", "down", "tab", *JOINT_KEYS[:most]])

    @property
    def chosen(self) -> str:
        """The joint that the keys move now."""
        return self._names[self._place]

    @property
    def _place(self) -> int:
        arm = self._arms[self._arm]
        return arm[min(self._joint, len(arm) - 1)]

    def reset(self, observation: Observation) -> None:
        """Begin where the arm is; keys pressed before count for nothing."""
        while self._read() is not None:
            pass
        self._goal = observation.position.copy()

    def decide(self, observation: Observation) -> Decision:
        """Every press since the last decision, one step each."""
        while (key := self._read()) is not None:
            if key == "tab":
                self._arm = (self._arm + 1) % len(self._arms)
            elif key in ("up", "down"):
                self._goal[self._place] += self._step_rad if key == "up" else -self._step_rad
            else:
                self._joint = JOINT_KEYS.index(key)
        near = np.clip(self._goal, observation.position - AHEAD_RAD, observation.position + AHEAD_RAD)
        self._goal = near.astype(np.float32)
        return Decision(self._goal.copy(), Actor.HUMAN)
