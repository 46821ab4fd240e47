"""Disturbs an object by a push: a velocity to reach with a limited force, optionally at low friction."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

SLIPPERY = 0.03  # of the normal friction, while an object is knocked out of a grip


@dataclass(frozen=True)
class Push:
    """Parameters of one push."""

    velocity: NDArray[np.float64]
    """[3] m/s, the object's target velocity."""
    duration_s: float
    limit_n: float
    slippery: bool = False
    """Lower the object's friction during the push."""


class Pusher:
    """Applies pushes to one body that has a free joint of the same name."""

    def __init__(self, body: str, geoms: Sequence[str], gain_n_s_m: float) -> None:
        """`geoms` are the body's, whose friction is lowered; `gain_n_s_m` is the force per m/s of velocity error."""
        self._body, self._geoms, self._gain = body, geoms, gain_n_s_m
        self._push: Push | None = None
        self._left_s = 0.0
        self._friction: dict[str, float] = {}

    def push(self, push: Push) -> None:
        """Start `push` with the next step."""
        self._push, self._left_s = push, push.duration_s

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Apply the current push, if any."""
        if self._push is None:
            return
        force = self._gain * (self._push.velocity - data.joint(self._body).qvel[:3])
        size = float(np.linalg.norm(force))
        data.body(self._body).xfrc_applied[:3] = force * min(1.0, self._push.limit_n / max(size, 1e-9))
        if self._push.slippery and not self._friction:
            for name in self._geoms:
                self._friction[name] = float(model.geom(name).friction[0])
                model.geom(name).friction[0] *= SLIPPERY
        self._left_s -= dt_s
        if self._left_s <= 0:
            self.reset(model, data)

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Remove the force and restore the friction."""
        self._push = None
        data.body(self._body).xfrc_applied[:] = 0.0
        for name, friction in self._friction.items():
            model.geom(name).friction[0] = friction
        self._friction = {}
