"""The live twin: a child process that runs the world in real time behind ptys, and its client."""

import multiprocessing
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ebt_data.errors import ConfigError
from ebt_data.step import CameraSpec
from ebt_hardware.bench.realtime import realtime
from ebt_hardware.cameras.realsense import FrameSource, RealSenseCamera
from ebt_hardware.device import Camera, Clock
from ebt_hardware.twin.live.live_process import LiveTwinConfig, run
from ebt_hardware.twin.live.live_scene import LiveScene, PipeClient
from ebt_hardware.twin.render.frame_ring import FrameRing, frame_memory
from ebt_hardware.twin.render.lockstep_cameras import NO_REALSENSE, DirectCamera, has_realsense
from ebt_hardware.twin.render.rendering import choose_renderer, explain
from ebt_hardware.twin.render.software_device import SoftwareCamera
from ebt_hardware.twin.tasks.registry import DEFAULT_TASK
from ebt_hardware.twin.wiring import KOCH, Motors

START_TIMEOUT_S = 60.0  # a spawned interpreter imports mujoco; seconds on a busy machine
STOP_TIMEOUT_S = 10.0
_PUMP_S = 0.1


class LiveTwin:
    """Arms on ptys and cameras in real time, until `close` or until this process ends for any reason.

    Other programs may open the ptys instead of this one; the files belong to this user alone (mode 0600).
    """

    def __init__(
        self,
        task: str = DEFAULT_TASK,
        motors: Mapping[str, Motors] = KOCH,
        cameras: Mapping[str, CameraSpec] | None = None,
        links: Mapping[str, Path] | None = None,
    ) -> None:
        """Start the child and wait until it serves.

        `task` is a name or a path; `links` are paths, by arm, of symlinks to the ptys.

        Raises:
            ConfigError: the twin has no such task, arm, motor or camera.
            HardwareError: the child did not start.
        """
        context = multiprocessing.get_context("spawn")
        self._specs = dict(cameras or {})
        backend = choose_renderer() if self._specs else None
        self.notices = _notices(backend)
        """Messages for the user about how the images are rendered."""
        memory = {name: frame_memory(context, spec) for name, spec in self._specs.items()}
        rings = {name: FrameRing(spec, memory[name]) for name, spec in self._specs.items()}
        fresh = context.Semaphore(0)
        calls, child_calls = context.Pipe()
        images, child_images = context.Pipe()
        config = LiveTwinConfig(task, motors, self._specs, backend, links or {})
        self.process = context.Process(
            target=run, args=(config, memory, fresh, child_calls, child_images), name="ebt twin", daemon=True
        )
        """The child."""
        self.process.start()
        child_calls.close()  # otherwise the end of the child would not be detected
        child_images.close()
        self._closers = ExitStack()
        self._closers.callback(self._reap)
        self._closers.callback(calls.close)
        self._closers.callback(images.close)
        client = PipeClient(calls)
        try:
            self.paths: Mapping[str, str] = client.receive(START_TIMEOUT_S)
        except BaseException:
            self._closers.close()
            raise
        self.scene = LiveScene(client, PipeClient(images))
        self._pump = _Pump(rings, fresh)
        self._closers.callback(self._pump.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def devices(self) -> Mapping[str, Any]:
        """The `rs.software_device` of each camera, which receives frames from now on."""
        return {name: self._pump.device(name, spec).device for name, spec in self._specs.items()}

    def open(self, name: str, clock: Clock) -> Camera:
        """A camera as the bench reads it: through a RealSense pipeline where pyrealsense2 exists, else directly."""
        if name not in self._specs:
            raise ConfigError(f"the twin has no camera {name!r} open; there are {', '.join(self._specs) or 'none'}")
        spec = self._specs[name]
        if has_realsense():
            return RealSenseCamera(self._pump.device(name, spec).device, spec, clock, name)
        return DirectCamera(name, clock, FrameSource(), self._pump.rings[name].read)

    def close(self) -> None:
        """End the child; harmless twice. Close the cameras that `open` returned first."""
        self._closers.close()

    def _reap(self) -> None:
        """Join the child, which ends when its pipes are closed; kill it if it does not."""
        self.process.join(STOP_TIMEOUT_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


@contextmanager
def serve(task: str = DEFAULT_TASK, links: Mapping[str, Path] | None = None) -> Iterator[Mapping[str, str]]:
    """Pty path by arm, for other programs, while the `with` lasts."""
    with LiveTwin(task, links=links) as twin:
        yield twin.paths


class _Pump:
    """A thread that copies new frames from shared memory into the software devices that are in use."""

    def __init__(self, rings: Mapping[str, FrameRing], fresh: Any) -> None:
        self.rings = rings
        self._fresh = fresh
        self._cameras: dict[str, SoftwareCamera] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def device(self, name: str, spec: CameraSpec) -> SoftwareCamera:
        """The device behind a camera; it receives frames from now on."""
        if name not in self._cameras:
            self._cameras = {
                **self._cameras,
                name: SoftwareCamera(name, spec),
            }  # the thread may be iterating over the old one
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="twin cameras", daemon=True)
            self._thread.start()
        return self._cameras[name]

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        pushed = dict.fromkeys(self.rings, 0)
        with realtime():  # otherwise it may be preempted while it holds the GIL, which blocks the control loop
            while not self._closing.is_set():
                self._fresh.acquire(timeout=_PUMP_S)
                self._push_new(pushed)

    def _push_new(self, pushed: dict[str, int]) -> None:
        """Push frames newer than those in `pushed`, and update `pushed`."""
        for name, camera in self._cameras.items():
            ring = self.rings[name]
            if (written := ring.written) > pushed[name] and (exposure := ring.read()) is not None:
                camera.push(exposure, arrival_s=time.time())
                pushed[name] = written


def _notices(backend: str | None) -> tuple[str, ...]:
    if backend is None:
        return ()
    return (explain(backend), *(() if has_realsense() else (NO_REALSENSE,)))
