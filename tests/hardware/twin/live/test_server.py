import stat
from multiprocessing import active_children
from pathlib import Path

import pytest

from ebt_data.errors import ConfigError, MisuseError
from ebt_data.step import Frame
from ebt_hardware.bench.clock import WallClock
from ebt_hardware.twin.live import server
from ebt_hardware.twin.live.server import LiveTwin, serve
from ebt_hardware.twin.render.lockstep_cameras import DirectCamera
from tests.hardware.twin.live.conftest import CAMERAS, until


def test_the_ptys_belong_to_this_user_alone(twin: LiveTwin) -> None:
    modes = {stat.S_IMODE(Path(path).stat().st_mode) for path in twin.paths.values()}
    assert modes == {0o600}


def test_frames_arrive_through_the_pipeline_with_their_true_ages(twin: LiveTwin) -> None:
    clock = WallClock(20.0)
    cameras = {name: twin.open(name, clock) for name in CAMERAS}
    for camera in cameras.values():
        camera.latest(clock.now())  # waits for a first frame, which is then younger than the tick
    frames: list[Frame] = []

    def ten_new() -> bool:
        for camera in cameras.values():
            frames.append(camera.latest(now_s := clock.now()))
            # Younger than the tick at most by as long as the answer took, which on a busy machine may be long.
            assert now_s - clock.now() - 0.01 < frames[-1].age_s < 2.0
        return sum(not frame.repeated for frame in frames) >= 20

    until(ten_new)
    for camera in cameras.values():
        camera.close()
    assert all(frame.arrival_s <= clock.now() for frame in frames)
    assert frames[0].image.shape == (24, 32, 3)
    assert frames[0].image.any()
    depth = frames[1].depth
    assert depth is not None
    assert depth.any()


def test_without_a_wheel_frames_come_straight_from_shared_memory(
    twin: LiveTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "has_realsense", lambda: False)
    clock = WallClock(20.0)
    camera = twin.open("top", clock)
    assert isinstance(camera, DirectCamera)
    first = camera.latest(clock.now())
    until(lambda: camera.latest(clock.now()).number > first.number)
    camera.close()


def test_errors_of_the_world_are_raised_here(twin: LiveTwin) -> None:
    with pytest.raises(MisuseError):
        twin.scene.disturb("earthquake")
    with pytest.raises(MisuseError, match="no camera 'left'; it has top, wrist"):
        twin.scene.stall("left")
    with pytest.raises(ConfigError, match="no camera 'left' open"):
        twin.open("left", WallClock(20.0))


def test_a_closed_twin_leaves_nothing_behind() -> None:
    before = set(active_children())
    with serve() as paths:
        assert set(paths) == {"follower", "leader"}
        assert all(Path(path).exists() for path in paths.values())
    assert set(active_children()) <= before


def test_an_unknown_task_is_refused_in_the_parent() -> None:
    with pytest.raises(ConfigError, match="no task 'juggle'"):
        LiveTwin(task="juggle")
