"""`ebt collect` with cameras that replay a known film instead of connected ones; the rest is the command unchanged.

    .venv/bin/python -m benchmarks.episodes.collect_replayed collect --bench FILE ...

In the bench file a camera's serial number is a name in `CAMERAS`.
"""

import threading
from typing import Any

import numpy as np

from benchmarks.episodes.replay_camera import DepthFilm, Film, ReplayCamera
from ebt_cli.__main__ import main
from ebt_hardware.cameras import realsense
from ebt_hardware.config.bench_tables import CameraTable

CAMERAS = {
    "colour": CameraTable(height=480, width=640, rate_hz=30.0),
    "depth": CameraTable(height=480, width=640, rate_hz=30.0, depth_unit_m=0.001),
}
FILM_FRAMES = 16
NOISE = 6  # of a pixel's 255 at most: JPEGs neither empty nor incompressible
SHIFT_PX = 40  # from image to image, so that they can be told apart


def bench_lines(name: str) -> str:
    """The lines of a bench file for one of the cameras."""
    table = CAMERAS[name].model_dump(exclude_none=True)
    return "\n".join([f"[cameras.{name}]", f'serial = "{name}"', *(f"{key} = {value}" for key, value in table.items())])


def film() -> Film:
    """[T, H, W, 3]: a moving gradient with a sensor's noise; always the same."""
    table = CAMERAS["colour"]
    row = np.linspace(20, 220, table.width).astype(np.uint8)
    shifted = np.stack([np.roll(row, SHIFT_PX * frame) for frame in range(FILM_FRAMES)])
    frames = np.random.default_rng(0).integers(0, NOISE, (FILM_FRAMES, table.height, table.width, 3), np.uint8)
    frames += shifted[:, None, :, None]
    return frames


def depth_film() -> DepthFilm:
    """[T, H, W] mm: the same gradient as depth."""
    table = CAMERAS["depth"]
    frames = np.random.default_rng(1).integers(0, NOISE, (FILM_FRAMES, table.height, table.width), np.uint16)
    row = np.linspace(300, 2000, table.width).astype(np.uint16)
    frames += np.stack([np.roll(row, SHIFT_PX * frame) for frame in range(FILM_FRAMES)])[:, None]
    return frames


def find_device(serial: str) -> Any:
    """The device of a camera that replays the film until the process ends."""
    table = CAMERAS[serial]
    depth = None if table.depth_unit_m is None else depth_film()
    camera = ReplayCamera(serial, table, film(), threading.Event(), depth)
    camera.thread.start()
    return camera.software_camera.device


if __name__ == "__main__":
    realsense.find_device = find_device
    main()
