"""A movable goal: it is fixed until it slides a few centimetres sideways, at the speed of a hand."""

import mujoco
import numpy as np
from numpy.typing import NDArray

SPEED_M_S = 0.12
SLIDE_M = (0.04, 0.06)  # range of a slide's length
REACH_M = 0.31  # from the base, a few centimetres above the table
WIDEST_RAD = 0.71  # from straight ahead; near 45 degrees the operator's hand would turn by 90 degrees at every tremor


class Goal:
    """A mocap body on the table, at home until `slide`.

    It has no mass and nothing stops it: its walls push objects in their way, but its floor drags nothing along,
    since MuJoCo gives a mocap body no velocity.
    """

    def __init__(
        self, body: str, home: tuple[float, float], bounds_x_m: tuple[float, float], bounds_y_m: tuple[float, float]
    ) -> None:
        """The body's centre stays within the bounds, which must leave room for a slide from any position."""
        self.body = body
        self._home = np.array(home)
        self._low, self._high = (np.array(corner) for corner in zip(bounds_x_m, bounds_y_m, strict=True))
        self.position = self._home
        """[2] m, the current position; exact, whereas privileged state is float32."""
        self._target: NDArray[np.float64] | None = None

    def slide(self, rng: np.random.Generator) -> None:
        """Start a slide in a random direction, with the next step."""
        while True:
            angle = rng.uniform(-np.pi, np.pi)
            target = self.position + rng.uniform(*SLIDE_M) * np.array([np.cos(angle), np.sin(angle)])
            if self._is_valid(target):
                break
        self._target = target

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Continue the current slide, if any."""
        if self._target is None:
            return
        path = self._target - self.position
        fraction = SPEED_M_S * dt_s / max(float(np.linalg.norm(path)), 1e-9)
        self._set_position(model, data, self.position + path * min(1.0, fraction))
        if fraction >= 1:
            self._target = None

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Move home at once and stop."""
        self._target = None
        self._set_position(model, data, self._home)

    def pose(self, data: mujoco.MjData) -> NDArray[np.float32]:
        """[7] position m and quaternion wxyz."""
        body = data.body(self.body)
        return np.concatenate([body.xpos, body.xquat]).astype(np.float32)

    def _is_valid(self, position: NDArray[np.float64]) -> bool:
        x, y = position
        in_bounds = (self._low <= position).all() and (position <= self._high).all()
        return bool(in_bounds and np.hypot(x, y) <= REACH_M and abs(np.arctan2(y, x)) <= WIDEST_RAD)

    def _set_position(self, model: mujoco.MjModel, data: mujoco.MjData, position: NDArray[np.float64]) -> None:
        self.position = position
        data.mocap_pos[model.body(self.body).mocapid[0], :2] = position
