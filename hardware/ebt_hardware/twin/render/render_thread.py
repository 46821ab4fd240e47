"""Renders the live twin's pictures in a thread of their own, so that no motor waits for a picture."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.synchronize import Semaphore

import mujoco

from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.exposure import FrameRenderer, State, remember
from ebt_hardware.twin.render.frame_ring import FrameRing
from ebt_hardware.twin.render.rendering import Renderer

_LOOK_S = 0.1


@dataclass(frozen=True)
class _ThirdPersonView:
    state: State
    height: int
    width: int
    deliver: Callable[[Image], object]


class RenderThread:
    """Develops what was exposed, the newest of each camera first come; what comes too fast is skipped."""

    def __init__(
        self,
        model: mujoco.MjModel,
        cameras: Mapping[str, tuple[CameraSpec, FrameRing]],
        backend: str | None,
        fresh: Semaphore,
    ) -> None:
        """`fresh` is released for every frame that is in its ring."""
        self._model = model
        self._cameras = cameras
        self._backend = backend
        self._fresh = fresh
        self._wake = threading.Condition()
        self._exposed: dict[str, tuple[int, float, State]] = {}
        self._portraits: list[_ThirdPersonView] = []
        self._closing = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="render_thread", daemon=True)
        self._thread.start()

    @property
    def working(self) -> bool:
        """False once rendering has failed; its traceback is on stderr."""
        return self._thread.is_alive()

    def warm_up(self) -> None:
        """Finish slow initialisation, where there are cameras, so that it delays no motor later."""
        while not self._ready.wait(_LOOK_S) and self.working:
            pass

    def develop(self, camera: str, number: int, stamp_s: float, state: State) -> None:
        """Hand in an exposure."""
        with self._wake:
            self._exposed[camera] = (number, stamp_s, state)
            self._wake.notify()

    def third_person(self, state: State, height: int, width: int, deliver: Callable[[Image], object]) -> None:
        """Make a third-person picture and give it to `deliver`, in the render thread."""
        with self._wake:
            self._portraits.append(_ThirdPersonView(state, height, width, deliver))
            self._wake.notify()

    def close(self) -> None:
        """Finish what is being rendered and free the renderers."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        with ExitStack() as closers:  # renderers are made here, since a GL context belongs to one thread
            makers: dict[bool, FrameRenderer] = {}

            def frame_renderer(smooth: bool) -> FrameRenderer:
                if smooth not in makers:
                    makers[smooth] = self._photographer(closers, smooth)
                return makers[smooth]

            if self._cameras:
                frame_renderer(False)
                frame_renderer(True)
            self._ready.set()
            while (job := self._next()) is not None:
                exposed, portraits = job
                if exposed:
                    self._render(frame_renderer(False), exposed)
                for wish in portraits:
                    wish.deliver(frame_renderer(True).third_person_view(wish.state, wish.height, wish.width))

    def _photographer(self, closers: ExitStack, smooth: bool) -> FrameRenderer:
        renderer = Renderer(self._model, self._backend, smooth)
        closers.callback(renderer.close)
        frame_renderer = FrameRenderer(self._model, renderer)
        frame_renderer.third_person_view(
            remember(self._model, mujoco.MjData(self._model)), 48, 64
        )  # the first takes long
        return frame_renderer

    def _next(self) -> tuple[dict[str, tuple[int, float, State]], list[_ThirdPersonView]] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._exposed or self._portraits)
            if self._closing:
                return None
            job = self._exposed, self._portraits
            self._exposed, self._portraits = {}, []
            return job

    def _render(self, frame_renderer: FrameRenderer, exposed: Mapping[str, tuple[int, float, State]]) -> None:
        for camera, (number, stamp_s, state) in exposed.items():
            spec, ring = self._cameras[camera]
            ring.write(frame_renderer.shoot(state, camera, spec, number, stamp_s))
            self._fresh.release()
