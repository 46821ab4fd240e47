"""The live twin's process: its motors behind ptys, and its signal handling."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dynamixel_sdk import COMM_SUCCESS, PacketHandler, PortHandler

from ebt_hardware.twin.live.server import LiveTwin
from tests.hardware.twin.live.conftest import DEADLINE_S, until

TORQUE, GOAL, PRESENT = 64, 116, 132


# Starts a live twin, prints a pty path, and then waits to be killed.
ORPHAN = """
import sys
from ebt_hardware.twin.live.server import LiveTwin
if __name__ == "__main__":
    with LiveTwin() as twin:
        print(twin.paths["follower"], flush=True)
        sys.stdin.read()
"""


@pytest.fixture(params=["follower", "leader"])
def arm(request: pytest.FixtureRequest, twin: LiveTwin) -> Iterator[PortHandler]:
    port = PortHandler(twin.paths[request.param])
    assert port.openPort()
    assert port.setBaudRate(1_000_000)
    yield port
    port.closePort()


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


def test_the_twin_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b"/dev/pts/")
        parent.kill()
        # The child has inherited stdout: this ends when both are gone.
        parent.communicate(timeout=DEADLINE_S)
