from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from ebt_data.errors import ConfigError, HardwareError
from ebt_data.step import CameraSpec, Frame
from ebt_hardware.bench.clock import LockstepClock
from ebt_hardware.device import Camera
from ebt_hardware.twin.render import lockstep_cameras as module
from ebt_hardware.twin.render.lockstep_cameras import DirectCamera, TwinCameras, has_realsense
from ebt_hardware.twin.render.rendering import Renderer

SCENE = """
<mujoco>
  <option timestep="0.002" gravity="0 0 0"/>
  <worldbody>
    <geom type="box" size="1 1 0.1" pos="0 0 -0.1" rgba="0.8 0.8 0.7 1"/>
    <body name="ball" pos="-0.3 0 0.1">
      <joint type="slide" axis="1 0 0"/>
      <geom type="sphere" size="0.1" rgba="1 0 0 1"/>
    </body>
    <camera name="top" pos="0 0 1" fovy="60"/>
    <camera name="wrist" pos="0 0 0.8" fovy="60"/>
    <camera name="person" pos="0 0 2" fovy="60"/>
  </worldbody>
</mujoco>"""

TOP = CameraSpec(32, 48, 20)
WRIST = CameraSpec(24, 32, 30, depth_unit_m=0.001)


class SlidingBall:
    """A world in which a ball moves to the right at 0.5 m/s."""

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_string(SCENE)
        self.data = mujoco.MjData(self.model)
        self.data.qvel[0] = 0.5
        self.time_s = 0.0
        self._subscribers: list[Callable[[float], None]] = []

    def on_step(self, subscriber: Callable[[float], None]) -> None:
        self._subscribers.append(subscriber)

    def advance(self, duration_s: float) -> None:
        for _ in range(round(duration_s / 0.01)):
            mujoco.mj_step(self.model, self.data, nstep=5)
            self.time_s += 0.01
            for subscriber in self._subscribers:
                subscriber(0.01)


class CameraRig:
    """The world, its clock and its cameras, opened."""

    def __init__(self) -> None:
        self.world = SlidingBall()
        self.clock = LockstepClock(self.world, 20.0)
        self.twin_cameras = TwinCameras(self.world, {"top": TOP, "wrist": WRIST}, Renderer(self.world.model, "rays"))
        self.cameras: dict[str, Camera] = {name: self.twin_cameras.open(name, self.clock) for name in ("top", "wrist")}

    def latest(self, name: str) -> Frame:
        return self.cameras[name].latest(self.clock.now())

    def close(self) -> None:
        for camera in self.cameras.values():
            camera.close()
        self.twin_cameras.close()


@pytest.fixture(params=["realsense", "direct"])
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> CameraRig:
    if request.param == "realsense" and not has_realsense():
        pytest.skip("no pyrealsense2 wheel here")
    if request.param == "direct":
        monkeypatch.setattr(module, "has_realsense", lambda: False)
    rig = CameraRig()
    request.addfinalizer(rig.close)
    return rig


def red_column(frame: Frame) -> float:
    """Mean column of the red pixels."""
    image = frame.image.astype(int)
    return float(np.nonzero(image[..., 0] - image[..., 1] > 60)[1].mean())


def test_a_camera_at_the_bench_rate_gives_a_new_and_fresh_frame_each_tick(rig: CameraRig) -> None:
    frames = [rig.latest("top")]
    for _ in range(10):
        rig.clock.wait()
        frames.append(rig.latest("top"))
    assert [frame.number for frame in frames] == list(range(1, 12))
    assert not any(frame.repeated for frame in frames)
    assert all(frame.age_s == pytest.approx(0.0, abs=1e-6) for frame in frames)
    assert frames[0].image.shape == (32, 48, 3)


def test_a_faster_cameras_frames_have_their_true_age(rig: CameraRig) -> None:
    ages, numbers = [], []
    for _ in range(6):
        rig.clock.wait()
        frame = rig.latest("wrist")
        ages.append(frame.age_s)
        numbers.append(frame.number)
    # exposures at 0, 33.3, 66.7, 100 ms, each made at the first 10 ms slice that ends at or after it
    assert ages == pytest.approx([0.01, 0.0, 0.01, 0.0, 0.01, 0.0], abs=1e-6)
    assert numbers == [2, 4, 5, 7, 8, 10]


def test_an_image_shows_the_world_at_its_exposure_not_at_its_reading(rig: CameraRig) -> None:
    rig.clock.wait()
    at_once = red_column(rig.latest("top"))
    rig.world.advance(0.04)  # no exposure in between
    assert red_column(rig.latest("top")) == at_once
    rig.world.advance(0.01)
    assert red_column(rig.latest("top")) > at_once + 0.5


def test_bench_time_may_start_later_than_the_world(rig: CameraRig) -> None:
    rig.world.advance(3.0)
    rig.clock.start()
    rig.clock.wait()
    frame = rig.latest("top")
    assert frame.device_s == pytest.approx(3.05)
    assert frame.arrival_s == pytest.approx(0.05, abs=1e-3)
    assert frame.age_s == pytest.approx(0.0, abs=1e-3)


def test_depth_is_in_counts_of_the_spec(rig: CameraRig) -> None:
    depth = rig.latest("wrist").depth
    assert depth is not None
    assert depth.dtype == np.uint16
    assert depth[12, 30] == 800  # mm to the plate


def test_a_stalled_camera_repeats_ages_and_then_stops_the_bench(rig: CameraRig) -> None:
    rig.latest("top")
    rig.twin_cameras.stall("top")
    rig.world.advance(1.0)
    frame = rig.latest("top")
    assert frame.repeated
    assert frame.age_s == pytest.approx(1.0)
    rig.world.advance(1.1)
    with pytest.raises(HardwareError, match="camera top has stalled"):
        rig.latest("top")
    rig.twin_cameras.resume("top")
    rig.world.advance(0.05)
    frame = rig.latest("top")
    assert (frame.repeated, frame.number) == (False, 44)  # the exposures meanwhile are counted


def test_dropped_frames_show_in_the_numbers(rig: CameraRig) -> None:
    numbers = [rig.latest("top").number]
    rig.twin_cameras.drop_next("top", 2)
    for _ in range(4):
        rig.clock.wait()
        numbers.append(rig.latest("top").number)
    assert numbers == [1, 1, 1, 4, 5]


def test_two_runs_give_the_same_frames() -> None:
    def run() -> list[Frame]:
        rig = CameraRig()
        frames = []
        for _ in range(20):
            rig.clock.wait()
            frames += [rig.latest("top"), rig.latest("wrist")]
        rig.close()
        return frames

    for one, other in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.number, one.device_s, one.age_s) == (other.number, other.device_s, other.age_s)


def test_without_a_wheel_a_notice_says_that_realsense_is_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_realsense", lambda: False)
    rig = CameraRig()
    assert isinstance(rig.cameras["top"], DirectCamera)
    assert any("pyrealsense2 does not load" in notice for notice in rig.twin_cameras.notices)
    rig.close()


def test_there_is_a_third_person_view() -> None:
    rig = CameraRig()
    assert rig.twin_cameras.picture(60, 80).shape == (60, 80, 3)
    rig.close()


def test_an_unknown_camera_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no camera 'left'; it has top, wrist, person"):
        TwinCameras(SlidingBall(), {"left": TOP})
