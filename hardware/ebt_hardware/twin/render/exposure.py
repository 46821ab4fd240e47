"""Camera exposures of the twin: their timing, the state captured at each, and rendering from that state."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import ConfigError
from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.rendering import Renderer
from ebt_hardware.twin.render.software_device import Exposure

State = NDArray[np.float64]  # argument of `mj_setState`
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION.value
_FARTHEST = np.iinfo(np.uint16).max  # depth counts; RealSense reports 0 beyond


class ExposureTimer:
    """Times a camera's exposures: at the first check at or after each period's end, never twice after a delay."""

    def __init__(self, rate_hz: float, start_s: float) -> None:
        self._period_s = 1 / rate_hz
        self._due_s = start_s

    def fires(self, time_s: float) -> bool:
        """True once per period; missed periods are skipped."""
        if time_s < self._due_s - 1e-6:
            return False
        self._due_s += self._period_s * (1 + (time_s - self._due_s + 1e-6) // self._period_s)
        return True


class ExposureCounter:
    """Times and numbers one camera's exposures, with injected faults."""

    def __init__(self, spec: CameraSpec, start_s: float) -> None:
        self.spec = spec
        self.stalled = False
        """Exposures continue, but no frame arrives."""
        self.to_drop = 0
        """Number of next exposures to drop."""
        self._timer = ExposureTimer(spec.rate_hz, start_s)
        self._number = 0

    def expose(self, time_s: float) -> int:
        """Number of the exposure made now; 0 if none is due, or it is dropped or stalled."""
        if not self._timer.fires(time_s):
            return 0
        self._number += 1
        if self.stalled:
            return 0
        if self.to_drop:
            self.to_drop -= 1
            return 0
        return self._number


def capture_state(model: mujoco.MjModel, data: mujoco.MjData) -> State:
    """The state needed to render this moment later; takes microseconds, where rendering takes a millisecond."""
    state = np.empty(mujoco.mj_stateSize(model, _STATE))
    mujoco.mj_getState(model, data, state, _STATE)
    return state


class FrameRenderer:
    """Renders the world in a captured state."""

    def __init__(self, model: mujoco.MjModel, renderer: Renderer) -> None:
        self._model = model
        self._renderer = renderer
        self._data = mujoco.MjData(model)
        self._state: State | None = None

    def render(self, state: State, camera: str, spec: CameraSpec, number: int, stamp_s: float) -> Exposure:
        """Image, and depth where the spec has a depth unit, of the model's `camera` in `state`."""
        self._restore(state)
        if spec.depth_unit_m is None:
            return Exposure(number, stamp_s, self._renderer.image(self._data, camera, spec.height, spec.width))
        image, depth_m = self._renderer.image_and_depth(self._data, camera, spec.height, spec.width)
        counts = np.rint(depth_m / spec.depth_unit_m)
        return Exposure(number, stamp_s, image, np.where(counts <= _FARTHEST, counts, 0).astype(np.uint16))

    def third_person_view(self, state: State, height: int, width: int) -> Image:
        """[H, W, 3] RGB of the whole bench, from the camera called `person`."""
        self._restore(state)
        return self._renderer.image(self._data, "person", height, width)

    def _restore(self, state: State) -> None:
        if state is self._state:  # cameras that expose at the same time share it
            return
        mujoco.mj_setState(self._model, self._data, state, _STATE)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._state = state


def check_camera(model: mujoco.MjModel, name: str) -> None:
    """Check that the model has a camera of that name.

    Raises:
        ConfigError: it has none; the message lists the model's cameras.
    """
    known = [model.camera(index).name for index in range(model.ncam)]
    if name not in known:
        raise ConfigError(f"the twin has no camera {name!r}; it has {', '.join(known)}")
