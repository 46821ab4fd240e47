import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from dynamixel_sdk import COMM_SUCCESS, PacketHandler, PortHandler

from ebt_data.errors import ConfigError, HardwareError, MisuseError
from ebt_data.step import CameraSpec, Frame
from ebt_hardware.bench.clock import WallClock
from ebt_hardware.twin.live import server
from ebt_hardware.twin.live.server import LiveTwin, serve
from ebt_hardware.twin.render.lockstep_cameras import DirectCamera

DEADLINE_S = 60.0
TORQUE, GOAL, PRESENT = 64, 116, 132
CAMERAS = {"top": CameraSpec(24, 32, 30), "wrist": CameraSpec(24, 32, 30, depth_unit_m=0.001)}

# Starts a live twin, says so, and then waits to be killed.
ORPHAN = """
import sys
from ebt_hardware.twin.live.server import LiveTwin
if __name__ == "__main__":
    with LiveTwin() as twin:
        print(twin.paths["follower"], flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def twin() -> Iterator[LiveTwin]:
    with LiveTwin(cameras=CAMERAS) as running:
        yield running


@pytest.fixture(params=["follower", "leader"])
def arm(request: pytest.FixtureRequest, twin: LiveTwin) -> Iterator[PortHandler]:
    port = PortHandler(twin.paths[request.param])
    assert port.openPort()
    assert port.setBaudRate(1_000_000)
    yield port
    port.closePort()


def until(reached: Callable[[], bool]) -> None:
    """Ask again and again; each question waits for its answer."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline


def test_any_dynamixel_program_finds_the_motors(arm: PortHandler) -> None:
    packets = PacketHandler(2.0)
    models: dict[int, int] = {}

    def all_answered() -> bool:  # a busy machine may let the SDK's 34 ms pass
        answers = {number: packets.ping(arm, number) for number in range(1, 7)}
        models.update({number: model for number, (model, result, _) in answers.items() if result == COMM_SUCCESS})
        return len(models) == 6

    until(all_answered)
    assert set(models.values()) in ({1060, 1200}, {1190})


def test_any_dynamixel_program_moves_a_joint(twin: LiveTwin) -> None:
    port, packets = PortHandler(twin.paths["follower"]), PacketHandler(2.0)
    assert port.openPort()
    assert port.setBaudRate(1_000_000)
    goal = 2048 + 200
    until(lambda: packets.write1ByteTxRx(port, 1, TORQUE, 1)[0] == COMM_SUCCESS)
    until(lambda: packets.write4ByteTxRx(port, 1, GOAL, goal)[0] == COMM_SUCCESS)
    until(lambda: abs(packets.read4ByteTxRx(port, 1, PRESENT)[0] - goal) < 20)
    until(lambda: packets.write1ByteTxRx(port, 1, TORQUE, 0)[0] == COMM_SUCCESS)
    port.closePort()
    assert twin.scene.log("follower")[-1].goals == {1: goal}
    assert abs(time.monotonic() - twin.scene.log("follower")[-1].time_s) < DEADLINE_S


def test_the_ptys_belong_to_this_user_alone(twin: LiveTwin) -> None:
    modes = {stat.S_IMODE(Path(path).stat().st_mode) for path in twin.paths.values()}
    assert modes == {0o600}


def test_frames_arrive_through_the_pipeline_with_honest_ages(twin: LiveTwin) -> None:
    clock = WallClock(20.0)
    cameras = {name: twin.open(name, clock) for name in CAMERAS}
    for camera in cameras.values():
        camera.latest(clock.now())  # waits for a first frame, which is then younger than the tick
    frames: list[Frame] = []

    def ten_new() -> bool:
        for camera in cameras.values():
            frames.append(camera.latest(asked_s := clock.now()))
            # Younger than the tick at most by as long as the answer took, which on a busy machine may be long.
            assert asked_s - clock.now() - 0.01 < frames[-1].age_s < 2.0
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


def test_a_camera_can_be_stalled_and_let_go_on(twin: LiveTwin) -> None:
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
        told = twin.scene.privileged()  # the hand isn't put back: it is wherever the arm has come to by now
        return {name: pose for name, pose in told.items() if "hand" not in name}

    one, other, again = poses(1), poses(2), poses(1)
    assert any(not np.allclose(one[name], other[name], atol=1e-3) for name in one)
    assert all(np.allclose(one[name], again[name], atol=1e-3) for name in one)
    assert not twin.scene.succeeded()
    assert not twin.scene.demonstrating()


def test_a_person_gets_a_picture(twin: LiveTwin) -> None:
    picture = twin.scene.picture(60, 80)
    assert picture.shape == (60, 80, 3)
    assert picture.any()


def test_errors_of_the_world_are_raised_here(twin: LiveTwin) -> None:
    with pytest.raises(MisuseError):
        twin.scene.disturb("earthquake")
    with pytest.raises(MisuseError, match="no camera 'left'; it has top, wrist"):
        twin.scene.stall("left")
    with pytest.raises(ConfigError, match="no camera 'left' open"):
        twin.open("left", WallClock(20.0))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGHUP])
def test_neither_ctrl_c_nor_a_closed_terminal_drops_the_arms(twin: LiveTwin, stop: signal.Signals) -> None:
    assert twin.process.pid is not None
    os.kill(twin.process.pid, stop)
    twin.scene.reset(3)
    assert twin.process.is_alive()


def test_other_programs_can_find_an_arm_under_a_steady_name(tmp_path: Path) -> None:
    with LiveTwin(links={arm: tmp_path / arm for arm in ("follower", "leader")}) as twin:
        assert (tmp_path / "follower").readlink() == Path(twin.paths["follower"])
        twin.scene.unplug("follower")
        until(lambda: not (tmp_path / "follower").is_symlink())
        assert (tmp_path / "leader").is_symlink()
    assert not (tmp_path / "leader").is_symlink()


def test_a_closed_twin_leaves_nothing_behind() -> None:
    before = set(active_children())
    with serve() as paths:
        assert set(paths) == {"follower", "leader"}
        assert all(Path(path).exists() for path in paths.values())
    assert set(active_children()) <= before


def test_a_twin_that_has_gone_says_so() -> None:
    with LiveTwin() as twin:
        twin.process.kill()
        with pytest.raises(HardwareError, match="the live twin has stopped"):
            until(twin.scene.succeeded)


def test_the_twin_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b"/dev/pts/")
        parent.kill()
        # The child has inherited stdout: this ends when both are gone.
        parent.communicate(timeout=DEADLINE_S)


def test_a_task_that_the_twin_does_not_know_is_refused_in_the_parent() -> None:
    with pytest.raises(ConfigError, match="no task 'juggle'"):
        LiveTwin(task="juggle")
