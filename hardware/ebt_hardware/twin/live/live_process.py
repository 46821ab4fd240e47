"""The live twin's own process: world and motors in real time, ptys, exposures and the scene's calls in one loop."""

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
from ebt_hardware.twin.render.exposure import ExposureQueue, check_camera, remember
from ebt_hardware.twin.render.frame_ring import FrameRing
from ebt_hardware.twin.render.render_thread import RenderThread
from ebt_hardware.twin.tasks.registry import DEFAULT_TASK
from ebt_hardware.twin.wiring import KOCH, Motors, emulators
from ebt_hardware.twin.world import SLICE_S, TwinWorld

T = TypeVar("T")

GIVE_UP_S = 0.5  # further behind than this the twin stops catching up: its time has stood still


@dataclass(frozen=True)
class Order:
    """What a live twin is to be."""

    task: str = DEFAULT_TASK
    """A name or a path, as `tasks.find_task` has it."""
    motors: Mapping[str, Motors] = field(default_factory=lambda: KOCH)
    """By arm."""
    cameras: Mapping[str, CameraSpec] = field(default_factory=dict)
    backend: str | None = None
    """Renderer; None: choose at the first image."""
    links: Mapping[str, Path] = field(default_factory=dict)
    """By arm: where a symlink to its pty is kept."""


def run(order: Order, memory: Mapping[str, Any], fresh: Semaphore, calls: Connection, pictures: Connection) -> None:
    """Serve until the other end of `calls` is closed; the first thing sent there is the pty paths or an error."""
    # A Ctrl-C and a closed terminal are the parent's to handle: its arms must stay up until they are parked.
    for stop in (signal.SIGINT, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    with ExitStack() as closers:
        try:
            twin = _LiveWorld(order, memory, fresh, closers)
        except EbtError as error:
            calls.send((error, None))
            return
        closers.enter_context(realtime())  # motors don't wait for a processor; theirs shouldn't either
        calls.send((None, {arm: port.path for arm, port in twin.ports.items()}))
        twin.serve(calls, pictures)


class _LiveWorld:
    """A world whose time is that of the wall."""

    def __init__(self, order: Order, memory: Mapping[str, Any], fresh: Semaphore, closers: ExitStack) -> None:
        self._world = world = TwinWorld(order.task)
        for name in order.cameras:
            check_camera(world.model, name)
        self._emulators: Mapping[str, Emulator] = emulators(world, order.motors, time.monotonic)
        self.ports = {arm: PtyPort(emulator, order.links.get(arm)) for arm, emulator in self._emulators.items()}
        for port in self.ports.values():
            closers.callback(port.close)
        self._reels = {name: ExposureQueue(spec, world.time_s) for name, spec in order.cameras.items()}
        rings = {name: (spec, FrameRing(spec, memory[name])) for name, spec in order.cameras.items()}
        self._darkroom = RenderThread(world.model, rings, order.backend, fresh)
        closers.callback(self._darkroom.close)
        self._darkroom.warm_up()
        self._lost_s = 0.0
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
            "lost_s": lambda: self._lost_s,
        }
        world.on_step(self._expose)

    def serve(self, calls: Connection, pictures: Connection) -> None:
        """Advance by slices at absolute deadlines; handle requests in between."""
        due_s = time.monotonic()
        while self._darkroom.working:
            files: list[Any] = [port for port in self.ports.values() if port.fileno() >= 0]
            ready = select.select([calls, pictures, *files], [], [], max(0.0, due_s - time.monotonic()))[0]
            for port in self.ports.values():
                port.service()
            if calls in ready and not self._answer(calls):
                return
            if pictures in ready and not self._third_person(pictures):
                return
            late_s = time.monotonic() - due_s
            if late_s < 0:
                continue
            if late_s > GIVE_UP_S:
                self._lost_s += late_s
                due_s += late_s
            self._world.advance(SLICE_S)
            due_s += SLICE_S

    def _answer(self, calls: Connection) -> bool:
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

    def _third_person(self, pictures: Connection) -> bool:
        try:
            height, width = pictures.recv()
        except (EOFError, OSError):
            return False
        state = remember(self._world.model, self._world.data)
        self._darkroom.third_person(state, height, width, lambda image: _send(pictures, (None, image)))
        return True

    def _expose(self, _dt_s: float) -> None:
        state = None
        for name, reel in self._reels.items():
            if number := reel.expose(self._world.time_s):
                state = remember(self._world.model, self._world.data) if state is None else state
                self._darkroom.develop(name, number, time.time(), state)

    def _log(self, arm: str) -> list[GoalWrite]:
        return list(_named(self._emulators, "arm", arm).log)

    def _plug(self, arm: str, plugged: bool) -> None:
        _named(self._emulators, "arm", arm).plugged = plugged

    def _stall(self, camera: str, stalled: bool) -> None:
        _named(self._reels, "camera", camera).stalled = stalled

    def _drop_next(self, camera: str, count: int) -> None:
        _named(self._reels, "camera", camera).to_drop = count


def _named(things: Mapping[str, T], kind: str, name: str) -> T:
    if name not in things:
        raise MisuseError(f"the live twin has no {kind} {name!r}; it has {', '.join(things) or 'none'}")
    return things[name]


def _send(connection: Connection, message: tuple[EbtError | None, Any]) -> bool:
    """False where the client has disconnected."""
    try:
        connection.send(message)
    except OSError:
        return False
    return True
