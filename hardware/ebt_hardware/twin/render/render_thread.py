"""Renders the live twin's images in a separate thread, so that no motor waits for an image."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.synchronize import Semaphore

import mujoco

from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.exposure import FrameRenderer, State, capture_state
from ebt_hardware.twin.render.frame_ring import FrameRing
from ebt_hardware.twin.render.rendering import Renderer

_POLL_S = 0.1


@dataclass(frozen=True)
class _ViewRequest:
    state: State
    height: int
    width: int
    deliver: Callable[[Image], object]


class RenderThread:
    """Renders the newest exposure of each camera; older ones that are still waiting are skipped."""

    def __init__(
        self,
        model: mujoco.MjModel,
        cameras: Mapping[str, tuple[CameraSpec, FrameRing]],
        backend: str | None,
        fresh: Semaphore,
    ) -> None:
        """`fresh` is released once per frame written to its ring."""
        self._model = model
        self._cameras = cameras
        self._backend = backend
        self._fresh = fresh
        self._wake = threading.Condition()
        self._exposed: dict[str, tuple[int, float, State]] = {}
        self._view_requests: list[_ViewRequest] = []
        self._closing = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name="render_thread", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once rendering has failed; its traceback is on stderr."""
        return self._thread.is_alive()

    def warm_up(self) -> None:
        """Wait for the slow initialisation, if there are cameras, so that it delays no motor later."""
        while not self._ready.wait(_POLL_S) and self.alive:
            pass

    def submit(self, camera: str, number: int, stamp_s: float, state: State) -> None:
        """Queue an exposure for rendering."""
        with self._wake:
            self._exposed[camera] = (number, stamp_s, state)
            self._wake.notify()

    def request_third_person_view(
        self, state: State, height: int, width: int, deliver: Callable[[Image], object]
    ) -> None:
        """Queue a third-person image; the render thread passes it to `deliver`."""
        with self._wake:
            self._view_requests.append(_ViewRequest(state, height, width, deliver))
            self._wake.notify()

    def close(self) -> None:
        """Finish what is being rendered and free the renderers."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        with ExitStack() as closers:  # renderers are made here, since a GL context is bound to one thread
            renderers: dict[bool, FrameRenderer] = {}

            def frame_renderer(smooth: bool) -> FrameRenderer:
                if smooth not in renderers:
                    renderers[smooth] = self._make_frame_renderer(closers, smooth)
                return renderers[smooth]

            if self._cameras:
                frame_renderer(False)
                frame_renderer(True)
            self._ready.set()
            while (batch := self._next()) is not None:
                exposed, view_requests = batch
                if exposed:
                    self._render(frame_renderer(False), exposed)
                for request in view_requests:
                    request.deliver(
                        frame_renderer(True).third_person_view(request.state, request.height, request.width)
                    )

    def _make_frame_renderer(self, closers: ExitStack, smooth: bool) -> FrameRenderer:
        renderer = Renderer(self._model, self._backend, smooth)
        closers.callback(renderer.close)
        frame_renderer = FrameRenderer(self._model, renderer)
        frame_renderer.third_person_view(
            capture_state(self._model, mujoco.MjData(self._model)), 48, 64
        )  # the first image is slow
        return frame_renderer

    def _next(self) -> tuple[dict[str, tuple[int, float, State]], list[_ViewRequest]] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._exposed or self._view_requests)
            if self._closing:
                return None
            batch = self._exposed, self._view_requests
            self._exposed, self._view_requests = {}, []
            return batch

    def _render(self, frame_renderer: FrameRenderer, exposed: Mapping[str, tuple[int, float, State]]) -> None:
        for camera, (number, stamp_s, state) in exposed.items():
            spec, ring = self._cameras[camera]
            ring.write(frame_renderer.render(state, camera, spec, number, stamp_s))
            self._fresh.release()
