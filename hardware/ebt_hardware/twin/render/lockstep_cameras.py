"""The lock-step twin's cameras: each exposes at its own rate as world time passes, and is read through RealSense."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import mujoco

from ebt_data.errors import ConfigError, HardwareError
from ebt_data.step import CameraSpec, Frame, Image
from ebt_hardware.cameras.realsense import STALL_S, FrameSource, RealSenseCamera, import_realsense
from ebt_hardware.device import Camera, Clock
from ebt_hardware.twin.render.exposure import ExposureQueue, FrameRenderer, State, check_camera, remember
from ebt_hardware.twin.render.rendering import Renderer, explain
from ebt_hardware.twin.render.software_device import Exposure, SoftwareCamera


class LockstepFrames(Protocol):
    """The part of `TwinWorld` that cameras need."""

    model: mujoco.MjModel
    data: mujoco.MjData
    time_s: float

    def on_step(self, subscriber: Callable[[float], None]) -> None: ...


class _FrameSource(ExposureQueue):
    """What has been exposed and not read, and what was read last."""

    exposed: tuple[int, float, State] | None = None
    shot: Exposure | None = None


class TwinCameras:
    """Every camera of a bench on one world, in lock-step: nothing waits, and each run gives the same frames.

    An exposure remembers the world's state; it is rendered when it is read, since a 30 Hz camera under a 20 Hz
    bench exposes more often than it is looked at. Frame numbers count exposures.
    """

    def __init__(
        self, world: LockstepFrames, specs: Mapping[str, CameraSpec], renderer: Renderer | None = None
    ) -> None:
        for name in specs:
            check_camera(world.model, name)
        self._world = world
        self._renderer = renderer or Renderer(world.model)
        self._portraitist: Renderer | None = None
        self._photographer = FrameRenderer(world.model, self._renderer)
        self._films = {name: _FrameSource(spec, world.time_s) for name, spec in specs.items()}
        self._devices: dict[str, SoftwareCamera] = {}
        self._expose(0.0)
        world.on_step(self._expose)

    @property
    def notices(self) -> tuple[str, ...]:
        """A message about how these images are rendered, where the user should know it."""
        return (explain(self._renderer.backend), *(() if has_realsense() else (NO_REALSENSE,)))

    def open(self, name: str, clock: Clock) -> Camera:
        """The camera as the bench reads it: through a RealSense pipeline where pyrealsense2 exists, else directly."""
        film = self._film(name)
        source = FrameSource(now=lambda: self._world.time_s, expected=lambda: self._deliver(name))
        if has_realsense():
            return RealSenseCamera(self.device(name), film.spec, clock, name, source)
        return DirectCamera(name, clock, source, lambda: film.shot)

    def device(self, name: str) -> Any:
        """The `rs.software_device` behind a camera, serial number `TWIN-<name>`; frames come from `open`'s source."""
        if name not in self._devices:
            self._devices[name] = SoftwareCamera(name, self._film(name).spec)
        return self._devices[name].device

    def picture(self, height: int, width: int) -> Image:
        """The world now, from the camera called `person`."""
        if self._portraitist is None:
            self._portraitist = Renderer(self._world.model, self._renderer.backend, smooth=True)
        return self._portraitist.image(self._world.data, "person", height, width)

    def stall(self, name: str) -> None:
        """Let a camera hang: it exposes, but nothing arrives."""
        self._film(name).stalled = True

    def resume(self, name: str) -> None:
        self._film(name).stalled = False

    def drop_next(self, name: str, count: int) -> None:
        """Lose the next `count` exposures of a camera."""
        self._film(name).to_drop = count

    def close(self) -> None:
        """Free the renderer; the cameras themselves are closed by their users."""
        self._renderer.close()
        if self._portraitist is not None:
            self._portraitist.close()

    def _film(self, name: str) -> _FrameSource:
        if name not in self._films:
            raise ConfigError(f"the twin has no camera {name!r} open; there are {', '.join(self._films)}")
        return self._films[name]

    def _expose(self, _dt_s: float) -> None:
        now_s = self._world.time_s
        state = None
        for film in self._films.values():
            number = film.expose(now_s)
            if not number:
                continue
            state = remember(self._world.model, self._world.data) if state is None else state
            film.exposed = (number, now_s, state)

    def _deliver(self, name: str) -> int:
        """Render and push the newest exposure if it was not read yet; its number, -1 before the first."""
        film = self._films[name]
        if film.exposed is not None:
            number, stamp_s, state = film.exposed
            film.shot = self._photographer.shoot(state, name, film.spec, number, stamp_s)
            film.exposed = None
            if name in self._devices:
                self._devices[name].push(film.shot, arrival_s=self._world.time_s)
        return -1 if film.shot is None else film.shot.number


NO_REALSENSE = (
    "pyrealsense2 does not load here (ebt doctor reports why): the twin's pictures go to the bench directly, not through "
    "it; everything on the twin works, no RealSense camera does."
)


def has_realsense() -> bool:
    """Whether twin cameras can go through librealsense."""
    try:
        import_realsense()
    except HardwareError:
        return False
    return True


class DirectCamera:
    """A twin camera where pyrealsense2 has no wheel; the same promises as `RealSenseCamera`."""

    def __init__(self, name: str, clock: Clock, source: FrameSource, newest: Callable[[], Exposure | None]) -> None:
        self._name = name
        self._clock = clock
        self._source = source
        self._newest = newest
        self._given = -1

    def latest(self, now_s: float) -> Frame:
        """The freshest frame; its age is counted at `now_s`.

        Raises:
            HardwareError: no frame for longer than the stall limit, or none yet.
        """
        if self._source.expected is not None:
            self._source.expected()
        shot = self._newest()
        if shot is None:
            raise HardwareError(f"camera {self._name} gives no frame at all")
        since_tick_s = self._clock.now() - now_s
        source_age_s = self._source.now() - shot.stamp_s
        age_s = source_age_s - since_tick_s
        if age_s > STALL_S:
            raise HardwareError(f"camera {self._name} has stalled: its last frame is {age_s:.1f} s old")
        repeated, self._given = shot.number == self._given, shot.number
        arrival_s = now_s - age_s
        return Frame(
            shot.image, shot.number, shot.stamp_s, "global_time", arrival_s, age_s, repeated=repeated, depth=shot.depth
        )

    def close(self) -> None:
        """Nothing to close."""
