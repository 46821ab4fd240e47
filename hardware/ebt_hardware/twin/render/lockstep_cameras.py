"""The lock-step twin's cameras: each exposes at its own rate as world time passes, and is read through RealSense."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import mujoco

from ebt_data.errors import ConfigError, HardwareError
from ebt_data.step import CameraSpec, Frame, Image
from ebt_hardware.cameras.realsense import STALL_S, FrameSource, RealSenseCamera, import_realsense
from ebt_hardware.device import Camera, Clock
from ebt_hardware.twin.render.exposure import ExposureCounter, FrameRenderer, State, capture_state, check_camera
from ebt_hardware.twin.render.rendering import Renderer, explain
from ebt_hardware.twin.render.software_device import Exposure, SoftwareCamera


class RenderableWorld(Protocol):
    """The part of `TwinWorld` that cameras need."""

    model: mujoco.MjModel
    data: mujoco.MjData
    time_s: float

    def on_step(self, subscriber: Callable[[float], None]) -> None: ...


class _CameraState(ExposureCounter):
    """A camera's exposure that is not rendered yet, and its last rendered one."""

    pending: tuple[int, float, State] | None = None
    latest: Exposure | None = None


class TwinCameras:
    """All cameras of a bench on one world, in lock-step: nothing waits, and each run gives the same frames.

    An exposure captures the world's state; it is rendered when it is read, since a 30 Hz camera under a 20 Hz
    bench exposes more often than it is read. Frame numbers count exposures.
    """

    def __init__(
        self, world: RenderableWorld, specs: Mapping[str, CameraSpec], renderer: Renderer | None = None
    ) -> None:
        for name in specs:
            check_camera(world.model, name)
        self._world = world
        self._renderer = renderer or Renderer(world.model)
        self._view_renderer: Renderer | None = None
        self._frame_renderer = FrameRenderer(world.model, self._renderer)
        self._cameras = {name: _CameraState(spec, world.time_s) for name, spec in specs.items()}
        self._devices: dict[str, SoftwareCamera] = {}
        self._expose(0.0)
        world.on_step(self._expose)

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user about how the images are rendered."""
        return (explain(self._renderer.backend), *(() if has_realsense() else (NO_REALSENSE,)))

    def open(self, name: str, clock: Clock) -> Camera:
        """The camera as the bench reads it: through a RealSense pipeline where pyrealsense2 exists, else directly."""
        camera = self._camera(name)
        source = FrameSource(now=lambda: self._world.time_s, expected=lambda: self._deliver(name))
        if has_realsense():
            return RealSenseCamera(self.device(name), camera.spec, clock, name, source)
        return DirectCamera(name, clock, source, lambda: camera.latest)

    def device(self, name: str) -> Any:
        """The `rs.software_device` behind a camera, serial number `TWIN-<name>`; frames come from `open`'s source."""
        if name not in self._devices:
            self._devices[name] = SoftwareCamera(name, self._camera(name).spec)
        return self._devices[name].device

    def picture(self, height: int, width: int) -> Image:
        """The world now, from the camera called `person`."""
        if self._view_renderer is None:
            self._view_renderer = Renderer(self._world.model, self._renderer.backend, smooth=True)
        return self._view_renderer.image(self._world.data, "person", height, width)

    def stall(self, name: str) -> None:
        """Stall a camera: it exposes, but no frame arrives."""
        self._camera(name).stalled = True

    def resume(self, name: str) -> None:
        """Let a stalled camera continue."""
        self._camera(name).stalled = False

    def drop_next(self, name: str, count: int) -> None:
        """Drop the next `count` exposures of a camera."""
        self._camera(name).to_drop = count

    def close(self) -> None:
        """Free the renderer; the cameras themselves are closed by their users."""
        self._renderer.close()
        if self._view_renderer is not None:
            self._view_renderer.close()

    def _camera(self, name: str) -> _CameraState:
        if name not in self._cameras:
            raise ConfigError(f"the twin has no camera {name!r} open; there are {', '.join(self._cameras)}")
        return self._cameras[name]

    def _expose(self, _dt_s: float) -> None:
        now_s = self._world.time_s
        state = None
        for camera in self._cameras.values():
            number = camera.expose(now_s)
            if not number:
                continue
            state = capture_state(self._world.model, self._world.data) if state is None else state
            camera.pending = (number, now_s, state)

    def _deliver(self, name: str) -> int:
        """Render and push the newest exposure if it was not read yet; its number, -1 before the first."""
        camera = self._cameras[name]
        if camera.pending is not None:
            number, stamp_s, state = camera.pending
            camera.latest = self._frame_renderer.render(state, name, camera.spec, number, stamp_s)
            camera.pending = None
            if name in self._devices:
                self._devices[name].push(camera.latest, arrival_s=self._world.time_s)
        return -1 if camera.latest is None else camera.latest.number


NO_REALSENSE = (
    "pyrealsense2 does not load here (ebt doctor reports why): the twin's images go to the bench directly, not through "
    "it. Everything on the twin works; real RealSense cameras do not."
)


def has_realsense() -> bool:
    """Whether twin cameras can go through librealsense."""
    try:
        import_realsense()
    except HardwareError:
        return False
    return True


class DirectCamera:
    """A twin camera for machines without a pyrealsense2 wheel; the same contract as `RealSenseCamera`."""

    def __init__(self, name: str, clock: Clock, source: FrameSource, newest: Callable[[], Exposure | None]) -> None:
        self._name = name
        self._clock = clock
        self._source = source
        self._newest = newest
        self._last_number = -1

    def latest(self, now_s: float) -> Frame:
        """The latest frame; its age is measured at `now_s`.

        Raises:
            HardwareError: no frame for longer than the stall limit, or none yet.
        """
        if self._source.expected is not None:
            self._source.expected()
        exposure = self._newest()
        if exposure is None:
            raise HardwareError(f"camera {self._name} gives no frame at all")
        since_tick_s = self._clock.now() - now_s
        source_age_s = self._source.now() - exposure.stamp_s
        age_s = source_age_s - since_tick_s
        if age_s > STALL_S:
            raise HardwareError(f"camera {self._name} has stalled: its last frame is {age_s:.1f} s old")
        repeated, self._last_number = exposure.number == self._last_number, exposure.number
        arrival_s = now_s - age_s
        return Frame(
            exposure.image,
            exposure.number,
            exposure.stamp_s,
            "global_time",
            arrival_s,
            age_s,
            repeated=repeated,
            depth=exposure.depth,
        )

    def close(self) -> None:
        """Nothing to close."""
