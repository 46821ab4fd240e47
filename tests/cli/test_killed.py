"""`ebt collect` killed at any moment: what the arms were told is in the file, but for one tick at most.

The arms are emulated in this process, so that what they saw survives any kill.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import sin
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from ebt_data.episode import Episode, list_episodes
from ebt_data.repair import repair
from ebt_data.step import Outcome
from ebt_hardware.calibration import Calibration, JointCalibration, save_calibration
from ebt_hardware.control_table import RAD_PER_TICK
from ebt_hardware.emulator import EmulatedMotor, Emulator
from ebt_hardware.pty_port import PtyPort, serve_pty
from ebt_hardware.shaft import FreeShaft

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
MODELS = {"follower": "XL330-M288", "leader": "XL330-M077"}
PATIENCE_S = 30.0


class Swinging:
    """A leader's horn that somebody swings, so that every tick's goal differs from the one before."""

    def position(self) -> float:
        return 0.4 * sin(1.3 * monotonic())

    def velocity(self) -> float:
        return 0.0

    def effort(self) -> float:
        return 0.0

    def drive(self, goal_rad: float | None, effort_limit: float) -> None:
        return None


class Arms:
    """A follower and a swinging leader behind ptys, served by a thread."""

    def __init__(self, folder: Path) -> None:
        shafts = {"follower": FreeShaft, "leader": Swinging}
        self.emulators = {
            name: Emulator([EmulatedMotor(model, number, shafts[name]()) for number in range(1, 7)], clock=monotonic)
            for name, model in MODELS.items()
        }
        self._ports = {name: PtyPort(emulator) for name, emulator in self.emulators.items()}
        self.bench = self._bench_file(folder)
        self.watch: Callable[[], None] = lambda: None
        """Called every 2 ms, between packets."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=serve_pty, args=(list(self._ports.values()), self._stop, self._update))

    def _update(self, dt_s: float) -> None:
        for emulator in self.emulators.values():
            emulator.update(dt_s)
        self.watch()

    def _bench_file(self, folder: Path) -> Path:
        lines = ['kind = "dynamixel"', "rate_hz = 50.0", 'task = "swing"']
        # A busy machine starves the thread that these arms live in; no test of the supervisor here.
        lines += ["[safety]", "stale_ticks = 25", "tracking_s = 5.0", "watchdog_s = 2.5"]
        for kind, name in (("followers", "follower"), ("leaders", "leader")):
            calibration = {
                joint: JointCalibration(id=number, model=MODELS[name], low=-1.5, high=1.5)
                for number, joint in enumerate(JOINTS, start=1)
            }
            save_calibration(Calibration(calibration), folder / "swing.calibration", name)
            lines += [f"[{kind}.{name}]", f'port = "{self._ports[name].path}"']
            lines += ['leads = "follower"'] if name == "leader" else []
            lines += [f"[{kind}.{name}.joints]"]
            lines += [
                f'{j} = {{ id = {c.id}, model = "{c.model}", low = -1.5, high = 1.5 }}' for j, c in calibration.items()
            ]
        path = folder / "swing.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def __enter__(self) -> "Arms":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for port in self._ports.values():
            port.close()


@contextmanager
def collecting(arms: Arms, out: Path) -> Iterator["subprocess.Popen[str]"]:
    """`ebt collect` on these arms, in a process group of its own that is gone afterwards."""
    command = [sys.executable, "-m", "ebt_cli", "collect", "--bench", str(arms.bench), "--out", str(out), "-n", "1"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def writer_of(parent: int) -> int:
    """Process id of the writer that `parent` started."""
    for task in Path("/proc").glob("[0-9]*"):
        try:
            stat = (task / "stat").read_text().rpartition(")")[2].split()
            command = (task / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat[1]) == parent and "ebt_data.writing" in command:
            return int(task.name)
    raise LookupError(f"process {parent} has no writer")


def kill_after(
    arms: Arms, out: Path, ticks: int, kill: Callable[[int], None], process: "subprocess.Popen[str]"
) -> None:
    """Have `kill` called with the process id once the arms were sent `ticks` more goals than when recording began."""
    began: list[int] = []
    killed = threading.Event()

    def watch() -> None:
        sent = len(arms.emulators["follower"].log)
        if not began and any(path.stat().st_size for path in out.glob("*.part")):
            began.append(sent)
        if began and sent >= began[0] + ticks and not killed.is_set():
            kill(process.pid)
            killed.set()

    arms.watch = watch
    deadline_s = monotonic() + PATIENCE_S
    while not killed.wait(0.1):
        ended = process.poll() is not None
        if ended or monotonic() > deadline_s:
            arms.watch = lambda: None
            raise TooBusy(
                f"ended by itself with {process.returncode}: {process.communicate()[1]}" if ended else "waited"
            )
    arms.watch = lambda: None


class TooBusy(Exception):
    """The session ended, or hung, before it could be killed: the emulated arms were starved of their processor."""


def in_three_tries(session: Callable[[Path], None], folder: Path) -> None:
    """Run a session that is killed; one that the machine was too busy for is begun anew, with arms of its own."""
    for number in range(3):
        try:
            (folder / str(number)).mkdir()
            return session(folder / str(number))
        except TooBusy as busy:
            last = busy
    raise last


def assert_rows_are_goals(arms: Arms, path: Path, unwritten: int) -> None:
    """Every row holds the goal that the arm was sent in its turn, up to the last but `unwritten`."""
    log = [[write.goals[number] for number in range(1, 7)] for write in arms.emulators["follower"].log]
    with Episode(path) as episode:
        rows = np.rint(episode.action / RAD_PER_TICK + 2048).astype(int).tolist()
        assert (episode.outcome, episode.complete) == (Outcome.ABORTED, False)
    after = [len(log) - at - len(rows) for at in range(len(log) - len(rows) + 1) if log[at : at + len(rows)] == rows]
    assert after and after[-1] <= unwritten


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killing_everything_loses_at_most_one_tick(tmp_path: Path, seed: int) -> None:
    ticks = random.Random(seed).randint(20, 60)

    def session(folder: Path) -> None:
        out = folder / "episodes"
        with Arms(folder) as arms, collecting(arms, out) as process:
            kill_after(arms, out, ticks, lambda pid: os.killpg(pid, signal.SIGKILL), process)
            process.wait(PATIENCE_S)
            said = repair_when_let_go(out)
            assert len(said) == 1 and "marked as aborted" in said[0]
            assert_rows_are_goals(arms, list_episodes(out)[0], unwritten=1)

    in_three_tries(session, tmp_path)


def repair_when_let_go(out: Path) -> list[str]:
    """The writer lives in a session of its own and still writes what had reached it; `repair` passes over it."""
    deadline_s = monotonic() + PATIENCE_S
    while not (said := repair(out)):
        assert monotonic() < deadline_s, "the writer never let go of the file"
    return said


@pytest.mark.slow
def test_killing_the_writer_alone_loses_at_most_one_tick_and_holds_the_arm(tmp_path: Path) -> None:
    def session(folder: Path) -> None:
        out = folder / "episodes"
        with Arms(folder) as arms, collecting(arms, out) as process:
            kill_after(arms, out, 30, lambda pid: os.kill(writer_of(pid), signal.SIGKILL), process)
            _, talk = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 5
            assert "killed by SIGKILL" in talk and "Traceback" not in talk
            assert all(motor["torque_enable"] == 1 for motor in arms.emulators["follower"].motors.values())
            # Holding sends one more goal, which belongs to no row.
            assert_rows_are_goals(arms, list_episodes(out)[0], unwritten=1 + 1)

    in_three_tries(session, tmp_path)
