"""A camera without hardware: replays a film through an `rs.software_device` at its rate."""

import threading
import time

import numpy as np
from numpy.typing import NDArray

from ebt_hardware.bench.realtime import realtime
from ebt_hardware.config.bench_tables import CameraTable
from ebt_hardware.twin.render.software_device import Exposure, SoftwareCamera

Film = NDArray[np.uint8]  # [T, H, W, 3]
DepthFilm = NDArray[np.uint16]  # [T, H, W]


class ReplayCamera:
    """Pushes frames from a thread, as a camera does; frame `number` is the film's `number % T`."""

    def __init__(
        self, name: str, table: CameraTable, film: Film, closing: threading.Event, depth: DepthFilm | None = None
    ) -> None:
        self.software_camera = SoftwareCamera(name, table.spec)
        self.pushed = 0
        self._film, self._depth, self._period_s, self._closing = film, depth, 1 / table.rate_hz, closing
        self.thread = threading.Thread(target=self._work, name=f"camera {name}", daemon=True)

    def _work(self) -> None:
        due_s = time.monotonic()
        with (
            realtime()
        ):  # a real camera's thread holds no interpreter lock; this one must not be preempted while it holds it
            while not self._closing.wait(max(0.0, due_s - time.monotonic())):
                self.pushed += 1
                place = self.pushed % len(self._film)
                depth = None if self._depth is None else self._depth[place]
                self.software_camera.push(
                    Exposure(self.pushed, time.time(), self._film[place], depth), arrival_s=time.time()
                )
                due_s += self._period_s
