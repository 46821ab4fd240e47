"""The live twin's process: one real-time loop for world and motors, ptys, cameras and calls."""

import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any, TypeVar

from ebt_data.errors import EbtError, MisuseError
from ebt_data.step import CameraSpec
from ebt_hardware.bench.realtime import realtime
from ebt_hardware.emulator.emulator import Emulator, GoalWrite
from ebt_hardware.emulator.pty_port import PtyPort
from ebt_hardware.twin.render.exposure import ExposureCounter, capture_state, check_camera
from ebt_hardware.twin.render.frame_ring import FrameRing
from ebt_hardware.twin.render.render_thread import RenderThread
from ebt_hardware.twin.tasks.registry import DEFAULT_TASK
from ebt_hardware.twin.wiring import KOCH, Motors, emulators
from ebt_hardware.twin.world import SLICE_S, TwinWorld

T = TypeVar("T")

MAX_LAG_S = 0.5  # a twin that lags further behind skips that time instead of catching up


@dataclass(frozen=True)
class LiveTwinConfig:
    """Configuration of a live twin."""

    task: str = DEFAULT_TASK
    """A name or a path, as in `tasks.registry.find_task`."""
    motors: Mapping[str, Motors] = field(default_factory=lambda: KOCH)
    """By arm."""
    cameras: Mapping[str, CameraSpec] = field(default_factory=dict)
    backend: str | None = None
    """Renderer; None: chosen at the first image."""
    links: Mapping[str, Path] = field(default_factory=dict)
    """By arm: path of a symlink to its pty."""


def run(
    config: LiveTwinConfig, memory: Mapping[str, Any], fresh: Semaphore, calls: Connection, images: Connection
) -> None:
    """Serve until the other end of `calls` is closed; the first message there is the pty paths or an error."""
    # The parent handles Ctrl-C and a closed terminal: the arms need this process until they are parked.
    for stop in (signal.SIGINT, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    with ExitStack() as closers:
        try:
            twin = _LiveWorld(config, memory, fresh, closers)
        except EbtError as error:
            calls.send((error, None))
            return
        closers.enter_context(realtime())  # real motors do not wait for a CPU, so the emulated ones should not either
        calls.send((None, {arm: port.path for arm, port in twin.ports.items()}))
        twin.serve(calls, images)


class _LiveWorld:
    """A `TwinWorld` that runs in wall-clock time, with its ptys and cameras."""

    def __init__(self, config: LiveTwinConfig, memory: Mapping[str, Any], fresh: Semaphore, closers: ExitStack) -> None:
        self._world = world = TwinWorld(config.task)
        for name in config.cameras:
            check_camera(world.model, name)
        self._emulators: Mapping[str, Emulator] = emulators(world, config.motors, time.monotonic)
        self.ports = {arm: PtyPort(emulator, config.links.get(arm)) for arm, emulator in self._emulators.items()}
        for port in self.ports.values():
            closers.callback(port.close)
        self._counters = {name: ExposureCounter(spec, world.time_s) for name, spec in config.cameras.items()}
        rings = {name: (spec, FrameRing(spec, memory[name])) for name, spec in config.cameras.items()}
        self._render_thread = RenderThread(world.model, rings, config.backend, fresh)
        closers.callback(self._render_thread.close)
        self._render_thread.warm_up()
        self._skipped_s = 0.0
        self._calls: Mapping[str, Callable[..., Any]] = {
            "reset": world.reset,
            "succeeded": world.succeeded,
            "privileged": world.privileged,
            "lifted": world.lifted,
            "disturb": world.disturb,
            "demonstrate": world.demonstrate,
            "demonstrating": world.demonstrating,
            "log": self._log,
            "stall": self._stall,
            "drop_next": self._drop_next,
            "plug": self._plug,
            "skipped_s": lambda: self._skipped_s,
        }
        world.on_step(self._expose)

    def serve(self, calls: Connection, images: Connection) -> None:
        """Advance in steps of `SLICE_S` at absolute deadlines; handle requests in between."""
        due_s = time.monotonic()
        while self._render_thread.alive:
            files: list[Any] = [port for port in self.ports.values() if port.fileno() >= 0]
            ready = select.select([calls, images, *files], [], [], max(0.0, due_s - time.monotonic()))[0]
            for port in self.ports.values():
                port.service()
            if calls in ready and not self._handle_call(calls):
                return
            if images in ready and not self._handle_image_request(images):
                return
            late_s = time.monotonic() - due_s
            if late_s < 0:
                continue
            if late_s > MAX_LAG_S:
                self._skipped_s += late_s
                due_s += late_s
            self._world.advance(SLICE_S)
            due_s += SLICE_S

    def _handle_call(self, calls: Connection) -> bool:
        """Execute the client's request; False once it has disconnected."""
        try:
            name, arguments = calls.recv()
        except (EOFError, OSError):
            return False
        try:
            answer = self._calls[name](*arguments)
        except EbtError as error:
            return _send(calls, (error, None))
        return _send(calls, (None, answer))

    def _handle_image_request(self, images: Connection) -> bool:
        try:
            height, width = images.recv()
        except (EOFError, OSError):
            return False
        state = capture_state(self._world.model, self._world.data)
        self._render_thread.request_third_person_view(state, height, width, lambda image: _send(images, (None, image)))
        return True

    def _expose(self, _dt_s: float) -> None:
        state = None
        for name, counter in self._counters.items():
            if number := counter.expose(self._world.time_s):
                state = capture_state(self._world.model, self._world.data) if state is None else state
                self._render_thread.submit(name, number, time.time(), state)

    def _log(self, arm: str) -> list[GoalWrite]:
        return list(_lookup(self._emulators, "arm", arm).log)

    def _plug(self, arm: str, plugged: bool) -> None:
        _lookup(self._emulators, "arm", arm).plugged = plugged

    def _stall(self, camera: str, stalled: bool) -> None:
        _lookup(self._counters, "camera", camera).stalled = stalled

    def _drop_next(self, camera: str, count: int) -> None:
        _lookup(self._counters, "camera", camera).to_drop = count


def _lookup(items: Mapping[str, T], kind: str, name: str) -> T:
    if name not in items:
        raise MisuseError(f"the live twin has no {kind} {name!r}; it has {', '.join(items) or 'none'}")
    return items[name]


def _send(connection: Connection, message: tuple[EbtError | None, Any]) -> bool:
    """False where the client has disconnected."""
    try:
        connection.send(message)
    except OSError:
        return False
    return True
