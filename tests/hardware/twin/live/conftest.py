"""A live twin with two cameras."""

import time
from collections.abc import Callable, Iterator

import pytest

from ebt_data.step import CameraSpec
from ebt_hardware.twin.live.server import LiveTwin

DEADLINE_S = 60.0
CAMERAS = {"top": CameraSpec(24, 32, 30), "wrist": CameraSpec(24, 32, 30, depth_unit_m=0.001)}


@pytest.fixture(scope="module")
def twin() -> Iterator[LiveTwin]:
    with LiveTwin(cameras=CAMERAS) as running:
        yield running


def until(reached: Callable[[], bool]) -> None:
    """Poll until `reached()` is true; each call waits for its answer."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline
