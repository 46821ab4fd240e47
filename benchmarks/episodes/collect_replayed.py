"""`ebt collect` where cameras that show a known film are found instead of plugged-in ones; all else is the command.

    .venv/bin/python -m benchmarks.episodes.collect_films collect --bench FILE ...

In the bench file a camera's serial number is a name in `CAMERAS`.
"""

import threading
from typing import Any

import numpy as np

from benchmarks.episodes.projector import DepthFilm, Film, Projector
from ebt_cli.__main__ import main
from ebt_hardware.cameras import realsense
from ebt_hardware.config.bench_tables import CameraTable

CAMERAS = {
    "colour": CameraTable(height=480, width=640, rate_hz=30.0),
    "depth": CameraTable(height=480, width=640, rate_hz=30.0, depth_unit_m=0.001),
}
FILM_FRAMES = 16
NOISE = 6  # of a pixel's 255 at most: neither empty nor incompressible JPEGs
SHIFT_PX = 40  # from picture to picture, so that one is not taken for another


def bench_lines(name: str) -> str:
    """What a bench file says of one of the cameras."""
    table = CAMERAS[name].model_dump(exclude_none=True)
    return "\n".join([f"[cameras.{name}]", f'serial = "{name}"', *(f"{key} = {value}" for key, value in table.items())])


def film() -> Film:
    """[T, H, W, 3]: a slope that moves, with a sensor's noise; the same every time."""
    table = CAMERAS["colour"]
    row = np.linspace(20, 220, table.width).astype(np.uint8)
    shifted = np.stack([np.roll(row, SHIFT_PX * frame) for frame in range(FILM_FRAMES)])
    shown = np.random.default_rng(0).integers(0, NOISE, (FILM_FRAMES, table.height, table.width, 3), np.uint8)
    shown += shifted[:, None, :, None]
    return shown


def depth_film() -> DepthFilm:
    """[T, H, W] mm: the same with depth."""
    table = CAMERAS["depth"]
    shown = np.random.default_rng(1).integers(0, NOISE, (FILM_FRAMES, table.height, table.width), np.uint16)
    row = np.linspace(300, 2000, table.width).astype(np.uint16)
    shown += np.stack([np.roll(row, SHIFT_PX * frame) for frame in range(FILM_FRAMES)])[:, None]
    return shown


def find_device(serial: str) -> Any:
    """The device of a camera that shows the film from now on until the process ends."""
    table = CAMERAS[serial]
    depth = None if table.depth_unit_m is None else depth_film()
    projector = Projector(serial, table, film(), threading.Event(), depth)
    projector.thread.start()
    return projector.camera.device


if __name__ == "__main__":
    realsense.find_device = find_device
    main()
