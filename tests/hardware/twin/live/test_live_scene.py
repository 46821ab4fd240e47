"""The live twin's scene, called over its pipes."""

import numpy as np
import pytest

from ebt_data.errors import HardwareError
from ebt_hardware.bench.clock import WallClock
from ebt_hardware.twin.live.server import LiveTwin
from tests.hardware.twin.live.conftest import until


def test_a_camera_can_be_stalled_and_resumed(twin: LiveTwin) -> None:
    clock = WallClock(20.0)
    camera = twin.open("top", clock)
    camera.latest(clock.now())
    twin.scene.stall("top")
    until(lambda: camera.latest(clock.now()).age_s > 0.5)
    stalled = camera.latest(clock.now())
    assert stalled.repeated
    twin.scene.resume("top")
    until(lambda: camera.latest(clock.now()).number > stalled.number)
    camera.close()


def test_the_scene_is_the_same_for_the_same_seed(twin: LiveTwin) -> None:
    def poses(seed: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        twin.scene.reset(seed)
        poses_by_name = twin.scene.privileged()  # the arm is not reset, so neither is the hand
        return {name: pose for name, pose in poses_by_name.items() if "hand" not in name}

    one, other, again = poses(1), poses(2), poses(1)
    assert any(not np.allclose(one[name], other[name], atol=1e-3) for name in one)
    assert all(np.allclose(one[name], again[name], atol=1e-3) for name in one)
    assert not twin.scene.succeeded()
    assert not twin.scene.demonstrating()


def test_there_is_a_third_person_view(twin: LiveTwin) -> None:
    image = twin.scene.picture(60, 80)
    assert image.shape == (60, 80, 3)
    assert image.any()


def test_calls_to_a_twin_that_has_stopped_raise() -> None:
    with LiveTwin() as twin:
        twin.process.kill()
        with pytest.raises(HardwareError, match="the live twin has stopped"):
            until(twin.scene.succeeded)
