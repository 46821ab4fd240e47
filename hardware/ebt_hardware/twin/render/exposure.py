"""What makes a picture of the twin's world: when a camera exposes, what is remembered of it, and how that is rendered."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import ConfigError
from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.rendering import Renderer
from ebt_hardware.twin.render.software_device import Exposure

State = NDArray[np.float64]  # what `mj_setState` takes
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION.value
_FARTHEST = np.iinfo(np.uint16).max  # depth counts; RealSense gives 0 beyond


class ExposureTimer:
    """When a camera exposes: at the first check at or after each period's end, never twice after a delay."""

    def __init__(self, rate_hz: float, start_s: float) -> None:
        self._period_s = 1 / rate_hz
        self._due_s = start_s

    def fires(self, time_s: float) -> bool:
        """True once a period; missed periods are skipped."""
        if time_s < self._due_s - 1e-6:
            return False
        self._due_s += self._period_s * (1 + (time_s - self._due_s + 1e-6) // self._period_s)
        return True


class ExposureQueue:
    """One camera's exposures, with the faults that can be switched on."""

    def __init__(self, spec: CameraSpec, start_s: float) -> None:
        self.spec = spec
        self.stalled = False
        """Exposures continue, but no frame arrives."""
        self.to_drop = 0
        """Exposures that will be lost."""
        self._shutter = ExposureTimer(spec.rate_hz, start_s)
        self._number = 0

    def expose(self, time_s: float) -> int:
        """The number of the exposure that is made now and will arrive; 0 where there is none."""
        if not self._shutter.fires(time_s):
            return 0
        self._number += 1
        if self.stalled:
            return 0
        if self.to_drop:
            self.to_drop -= 1
            return 0
        return self._number


def remember(model: mujoco.MjModel, data: mujoco.MjData) -> State:
    """Everything that a picture of this moment needs; takes microseconds, where rendering takes a millisecond."""
    state = np.empty(mujoco.mj_stateSize(model, _STATE))
    mujoco.mj_getState(model, data, state, _STATE)
    return state


class FrameRenderer:
    """Renders the world as it was in a remembered state."""

    def __init__(self, model: mujoco.MjModel, renderer: Renderer) -> None:
        self._model = model
        self._renderer = renderer
        self._then = mujoco.MjData(model)
        self._state: State | None = None

    def shoot(self, state: State, camera: str, spec: CameraSpec, number: int, stamp_s: float) -> Exposure:
        """What the model's `camera` of that name saw."""
        self._recall(state)
        if spec.depth_unit_m is None:
            return Exposure(number, stamp_s, self._renderer.image(self._then, camera, spec.height, spec.width))
        image, depth_m = self._renderer.image_and_depth(self._then, camera, spec.height, spec.width)
        counts = np.rint(depth_m / spec.depth_unit_m)
        return Exposure(number, stamp_s, image, np.where(counts <= _FARTHEST, counts, 0).astype(np.uint16))

    def third_person_view(self, state: State, height: int, width: int) -> Image:
        """[H, W, 3] RGB of the whole bench, from the camera called `person`."""
        self._recall(state)
        return self._renderer.image(self._then, "person", height, width)

    def _recall(self, state: State) -> None:
        if state is self._state:  # cameras that exposed at once share it
            return
        mujoco.mj_setState(self._model, self._then, state, _STATE)
        mujoco.mj_kinematics(self._model, self._then)
        mujoco.mj_comPos(self._model, self._then)
        mujoco.mj_camlight(self._model, self._then)
        self._state = state


def check_camera(model: mujoco.MjModel, name: str) -> None:
    """See that the model has a camera of that name.

    Raises:
        ConfigError: it has not; the message lists those it has.
    """
    known = [model.camera(index).name for index in range(model.ncam)]
    if name not in known:
        raise ConfigError(f"the twin has no camera {name!r}; it has {', '.join(known)}")
