import importlib

import numpy as np
import pytest

from ebt_data.errors import HardwareError
from ebt_data.step import CameraSpec
from ebt_hardware.cameras import realsense
from ebt_hardware.cameras.realsense import FrameSource, RealSenseCamera, find_device, import_realsense, list_serials
from ebt_hardware.twin.render.software_device import Exposure, SoftwareCamera

try:
    import_realsense()
except HardwareError as missing:
    pytest.skip(str(missing), allow_module_level=True)

COLOUR = CameraSpec(height=48, width=64, rate_hz=30)
WITH_DEPTH = CameraSpec(height=48, width=64, rate_hz=30, depth_unit_m=0.001)


class Time:
    """The source's clock and the bench's in one: bench time is source time less 100 s."""

    def __init__(self) -> None:
        self.source_s = 100.0

    def start(self) -> None: ...

    def now(self) -> float:
        return self.source_s - 100.0

    def wait(self) -> int:
        return 0


def shot(number: int, stamp_s: float, depth: int | None = None) -> Exposure:
    return Exposure(
        number,
        stamp_s,
        np.full((48, 64, 3), number % 256, np.uint8),
        None if depth is None else np.full((48, 64), depth, np.uint16),
    )


@pytest.fixture
def time() -> Time:
    return Time()


def opened(spec: CameraSpec, time: Time) -> tuple[SoftwareCamera, RealSenseCamera]:
    twin = SoftwareCamera("top", spec)
    return twin, RealSenseCamera(twin.device, spec, time, "top", FrameSource(now=lambda: time.source_s))


def test_a_frame_comes_through_the_pipeline_as_it_was_pushed(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    time.source_s = 100.5
    twin.push(Exposure(7, 100.48, pixels.copy()), arrival_s=100.49)
    frame = camera.latest(0.5)
    camera.close()
    np.testing.assert_array_equal(frame.image, pixels)
    assert (frame.number, frame.domain, frame.repeated, frame.depth) == (7, "global_time", False, None)
    assert frame.device_s == pytest.approx(100.48)
    assert frame.age_s == pytest.approx(0.02)
    assert frame.arrival_s == pytest.approx(0.49, abs=1e-3)


def test_age_is_counted_at_the_tick_even_when_the_camera_is_read_later_in_it(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    twin.push(shot(1, 100.0), arrival_s=100.0)
    time.source_s = 100.060  # 10 ms into a tick that began at 50 ms
    assert camera.latest(0.050).age_s == pytest.approx(0.050)
    twin.push(shot(2, 100.055), arrival_s=100.055)
    assert camera.latest(0.050).age_s == pytest.approx(-0.005)
    camera.close()


def test_an_old_frame_is_returned_again_marked_and_older(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    twin.push(shot(1, 100.0), arrival_s=100.0)
    first = camera.latest(0.0)
    time.source_s = 100.05
    second = camera.latest(0.05)
    twin.push(shot(2, 100.05), arrival_s=100.05)
    third = camera.latest(0.05)
    camera.close()
    assert [first.repeated, second.repeated, third.repeated] == [False, True, False]
    assert second.age_s == pytest.approx(first.age_s + 0.05)
    assert second.image is first.image


def test_only_the_newest_of_several_frames_is_returned(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    for number in range(1, 6):
        twin.push(shot(number, 100.0 + number / 30), arrival_s=100.0)
    frame = camera.latest(0.0)
    camera.close()
    assert frame.number == 5
    assert frame.image.max() == frame.image.min() == 5


def test_images_given_earlier_do_not_change(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    kept = []
    for number in range(1, 60):  # more than librealsense's pool of frames
        twin.push(shot(number, 100.0), arrival_s=100.0)
        kept.append(camera.latest(0.0).image)
    camera.close()
    assert [int(image.mean()) for image in kept] == list(range(1, 60))


def test_a_stalled_camera_stops_the_bench_after_two_seconds_and_may_come_back(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    twin.push(shot(1, 100.0), arrival_s=100.0)
    camera.latest(0.0)
    time.source_s = 101.9
    assert camera.latest(1.9).age_s == pytest.approx(1.9)
    time.source_s = 102.1
    with pytest.raises(HardwareError, match=r"camera top has stalled: its last frame is 2\.1 s old") as caught:
        camera.latest(2.1)
    assert "ebt doctor" in caught.value.hint
    twin.push(shot(2, 102.1), arrival_s=102.1)
    assert not camera.latest(2.1).repeated
    camera.close()


def test_a_camera_that_never_gives_a_frame_is_named(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realsense, "FIRST_FRAME_S", 0.05)
    _, camera = opened(COLOUR, time)
    with pytest.raises(HardwareError, match="camera top gives no frame at all"):
        camera.latest(0.0)
    camera.close()


def test_depth_comes_with_its_colour(time: Time) -> None:
    twin, camera = opened(WITH_DEPTH, time)
    twin.push(shot(1, 100.0, depth=500), arrival_s=100.0)
    frame = camera.latest(0.0)
    camera.close()
    assert frame.depth is not None
    assert frame.depth.dtype == np.uint16
    assert frame.depth.shape == (48, 64)
    assert frame.depth.max() == frame.depth.min() == 500


def test_colour_with_stale_depth_is_not_a_new_frame(time: Time) -> None:
    twin, camera = opened(WITH_DEPTH, time)
    twin.push(shot(1, 100.0, depth=500), arrival_s=100.0)
    camera.latest(0.0)
    for number in range(2, 80):  # the syncer gives up waiting for depth somewhere on the way
        time.source_s = 100.0 + number / 30
        twin.push(shot(number, time.source_s), arrival_s=time.source_s)
        if time.now() < 2.0:
            frame = camera.latest(time.now())
            assert (frame.number, frame.repeated) == (1, True)
    with pytest.raises(HardwareError, match=r"camera top \(or its depth stream\) has stalled"):
        camera.latest(time.now())
    camera.close()


def test_lockstep_gives_exactly_the_frame_that_it_requested(time: Time) -> None:
    twin = SoftwareCamera("top", COLOUR)
    pushed = 0

    def push_one() -> int:
        nonlocal pushed
        pushed += 1
        twin.push(shot(pushed, time.source_s), arrival_s=time.source_s)
        return pushed

    source = FrameSource(now=lambda: time.source_s, expected=push_one)
    camera = RealSenseCamera(twin.device, COLOUR, time, "top", source)
    numbers = []
    for tick in range(500):
        time.source_s = 100.0 + tick / 20
        frame = camera.latest(time.now())
        assert frame.age_s == pytest.approx(0.0, abs=1e-9)
        numbers.append(frame.number)
    camera.close()
    assert numbers == list(range(1, 501))


def test_a_lost_lockstep_frame_is_an_error_not_an_older_frame(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realsense, "LOCKSTEP_WAIT_S", 0.05)
    twin = SoftwareCamera("top", COLOUR)
    camera = RealSenseCamera(twin.device, COLOUR, time, "top", FrameSource(lambda: time.source_s, lambda: 3))
    twin.push(shot(2, 100.0), arrival_s=100.0)
    with pytest.raises(HardwareError, match="camera top gives frame 2, not 3"):
        camera.latest(0.0)
    camera.close()


def test_a_mode_that_the_camera_lacks_is_refused_with_those_it_has(time: Time) -> None:
    twin = SoftwareCamera("top", COLOUR)
    with pytest.raises(HardwareError, match=r"does not start at 640x480, 30 Hz.*it offers 64x48@30"):
        RealSenseCamera(twin.device, CameraSpec(480, 640, 30), time, "top")


def test_a_depth_unit_that_the_camera_does_not_have_is_refused(time: Time) -> None:
    twin = SoftwareCamera("top", WITH_DEPTH)
    with pytest.raises(HardwareError, match=r"has the depth unit 0\.001 m, the bench file 0\.0001 m"):
        RealSenseCamera(twin.device, CameraSpec(48, 64, 30, depth_unit_m=0.0001), time, "top")


def test_a_camera_opens_again_after_it_was_closed(time: Time) -> None:
    twin, camera = opened(COLOUR, time)
    camera.close()
    again = RealSenseCamera(twin.device, COLOUR, time, "top", FrameSource(now=lambda: time.source_s))
    twin.push(shot(1, 100.0), arrival_s=100.0)
    assert again.latest(0.0).number == 1
    again.close()


def test_wall_time_ages_need_no_source(time: Time) -> None:
    import time as wall

    twin = SoftwareCamera("top", COLOUR)
    camera = RealSenseCamera(twin.device, COLOUR, time, "top")
    now_s = wall.time()
    twin.push(shot(1, now_s - 0.1), arrival_s=now_s)
    assert 0.1 <= camera.latest(0.0).age_s < 1.0
    camera.close()


def test_a_missing_camera_is_reported_with_those_that_are_there() -> None:
    listed = ", ".join(list_serials()) or "none"
    with pytest.raises(HardwareError, match=f"no RealSense camera 000000000000; found: {listed}"):
        find_device("000000000000")


def test_librealsense_uploads_nothing() -> None:
    assert not import_realsense().rum.is_cloud_enabled()


def test_a_machine_without_the_wheel_is_given_an_install_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    import_realsense.cache_clear()
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(HardwareError, match="pyrealsense2 does not load here") as caught:
        import_realsense()
    assert "pip install pyrealsense2" in caught.value.hint
