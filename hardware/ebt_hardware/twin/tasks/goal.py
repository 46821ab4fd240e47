"""A goal that can be moved: it is fixed until it is slid some centimetres aside, at the speed of a hand."""

import mujoco
import numpy as np
from numpy.typing import NDArray

SPEED_M_S = 0.12
SLIDE_M = (0.04, 0.06)  # how far
REACH_M = 0.31  # from the base, a few centimetres above the table
WIDEST_RAD = 0.71  # off straight ahead; near 45 degrees the operator's hand would turn by a quarter at every tremor


class Goal:
    """A mocap body on the table, at home until `slide`.

    It weighs nothing and nothing stops it: its walls push what is in their way, but its floor carries nothing along,
    since MuJoCo gives a mocap body no velocity.
    """

    def __init__(
        self, body: str, home: tuple[float, float], room_x_m: tuple[float, float], room_y_m: tuple[float, float]
    ) -> None:
        """The body's middle never slides out of the room, which must be wide enough for a slide from anywhere in it."""
        self.body = body
        self._home = np.array(home)
        self._low, self._high = (np.array(corner) for corner in zip(room_x_m, room_y_m, strict=True))
        self.place = self._home
        """[2] m, where it is now; exact, where privileged state is rounded."""
        self._target: NDArray[np.float64] | None = None

    def slide(self, rng: np.random.Generator) -> None:
        """Set out for a random side, with the next step."""
        while True:
            side = rng.uniform(-np.pi, np.pi)
            target = self.place + rng.uniform(*SLIDE_M) * np.array([np.cos(side), np.sin(side)])
            if self._may_stand_at(target):
                break
        self._target = target

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Continue the current slide, if any."""
        if self._target is None:
            return
        way = self._target - self.place
        part = SPEED_M_S * dt_s / max(float(np.linalg.norm(way)), 1e-9)
        self._put(model, data, self.place + way * min(1.0, part))
        if part >= 1:
            self._target = None

    def rest(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Be at home, at rest."""
        self._target = None
        self._put(model, data, self._home)

    def pose(self, data: mujoco.MjData) -> NDArray[np.float32]:
        """[7] position m and quaternion wxyz."""
        body = data.body(self.body)
        return np.concatenate([body.xpos, body.xquat]).astype(np.float32)

    def _may_stand_at(self, place: NDArray[np.float64]) -> bool:
        x, y = place
        in_room = (self._low <= place).all() and (place <= self._high).all()
        return bool(in_room and np.hypot(x, y) <= REACH_M and abs(np.arctan2(y, x)) <= WIDEST_RAD)

    def _put(self, model: mujoco.MjModel, data: mujoco.MjData, place: NDArray[np.float64]) -> None:
        self.place = place
        data.mocap_pos[model.body(self.body).mocapid[0], :2] = place
