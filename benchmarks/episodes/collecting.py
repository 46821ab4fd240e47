"""Runs `ebt collect` on emulated arms as a process that can be killed, and compares its files with the goals sent."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.episodes.collect_replayed import bench_lines, depth_film, film
from benchmarks.episodes.emulated_arms import IDS, EmulatedArms
from benchmarks.episodes.replay_camera import DepthFilm, Film
from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.recording.repair import repair
from ebt_hardware.motors.control_table import RAD_PER_TICK

TIMEOUT_S = 60.0
POLL_S = 0.002
PICTURE_ERROR = 6.0  # of 255, mean: that of a JPEG; the next image of the film differs several times more
PLAIN = ("-m", "ebt_cli")
WITH_FILMS = ("-m", "benchmarks.episodes.collect_replayed")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Recording:
    """Arms and cameras of a recording."""

    pairs: tuple[str, ...] = ("arm",)
    """Pairs of leader and follower."""
    cameras: tuple[str, ...] = ()
    """Names in `collect_replayed.CAMERAS`."""


RECORDINGS = {
    "colour": Recording(cameras=("colour",)),
    "depth": Recording(cameras=("depth",)),
    "two_arms": Recording(pairs=("left", "right")),
}


ARM_TIMEOUT = 4
"""Exit code where an arm does not answer in time: docs/cli.md."""


class EndedEarly(Exception):
    """The session ended before the moment of the kill: the emulated arms got too little processor time."""


class Session:
    """The process, its writer, and its arms; the context manager ends all of them."""

    def __init__(self, recording: Recording, folder: Path, episodes: Path) -> None:
        """The arms' files go to `folder`, the recording to `episodes`."""
        self.arms = EmulatedArms(folder, episodes, recording.pairs, "\n".join(map(bench_lines, recording.cameras)))
        self.stderr = ""
        """The process's stderr, once it has ended."""
        program = WITH_FILMS if recording.cameras else PLAIN
        self._command = [sys.executable, *program, "collect", "--bench", str(self.arms.bench)]
        self._command += ["--out", str(episodes), "-n", "2"]

    def __enter__(self) -> "Session":
        self.arms.__enter__()
        self._keyboard, terminal = os.openpty()
        self.process = subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        os.close(terminal)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        os.close(self._keyboard)
        self.arms.__exit__()

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait until the condition is true.

        Raises:
            EndedEarly: its arms did not answer, or the wait timed out.
            RuntimeError: the process ended for another reason.
        """
        deadline_s = time.monotonic() + TIMEOUT_S
        while not reached():
            if self.process.poll() is not None:
                code, stderr = self.process.returncode, self.process.communicate()[1]
                raise (EndedEarly if code == ARM_TIMEOUT else RuntimeError)(f"ended by itself with {code}: {stderr}")
            if time.monotonic() > deadline_s:
                raise EndedEarly("timed out")
            time.sleep(POLL_S)  # between two checks of another process; nothing is timed by it

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._keyboard, key.encode())

    def writer(self) -> int:
        """Process id of the writer."""
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"ebt_data.recording.writer_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        raise EndedEarly("has no writer")

    def wait(self, ticks: int = 25) -> int:
        """The exit code; a process that records `ticks` more ticks is interrupted, one that hangs is killed."""
        reads_before = self.arms.leader_reads
        deadline_s = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < deadline_s:
            if self.arms.leader_reads > reads_before + ticks:
                self.process.send_signal(signal.SIGTERM)  # a shell's background processes ignore SIGINT
                reads_before = sys.maxsize
            time.sleep(POLL_S)  # between two checks of another process; nothing is timed by it
        if self.process.poll() is None:
            self.process.kill()
        self.stderr = self.process.communicate()[1]
        return self.process.returncode


def wait_for_exit(process: int) -> bool:
    """True once the process of this pidfd has exited, whatever its parent; False after a time-out."""
    return bool(select.select([process], [], [], TIMEOUT_S)[0])


@dataclass
class RepairReport:
    """What a session left, after the repair that the next session does."""

    episodes: int = 0
    """Files."""
    rows: int = 0
    pictures: int = 0
    """Decoded and compared with the film, depth included."""
    lost_ticks: int = 0
    """Goals sent to the arms in an episode, less its rows; the largest."""
    wrong: list[str] = field(default_factory=list)
    """Violations of what the recorder guarantees."""
    said: list[str] = field(default_factory=list)
    """Messages of the repair."""


def check_episodes(
    episodes: Path, sent_goals: Mapping[str, Mapping[str, list[list[int]]]], recording: Recording
) -> RepairReport:
    """Repair as the next session would, then compare every file with `EmulatedArms.sent_goals`."""
    report = RepairReport(said=repair(episodes))
    report.wrong += [f"{path.name} is left over" for path in episodes.glob("*.part")]
    for name, goals in sent_goals.items():
        path = episodes / f"{name}.h5"
        sent = max(map(len, goals.values()))
        rows = 0
        if path.exists():
            report.episodes += 1
            try:
                rows = _check(path, goals, recording, report)
            except DataError as error:
                report.wrong.append(f"{name} lost: {error}")
        elif sent > 1:
            report.wrong.append(f"{name} lost: no file, but the arms were sent {sent} goals")
        if rows > sent:
            report.wrong.append(f"{name} has {rows} rows of {sent} ticks")
        report.lost_ticks = max(report.lost_ticks, sent - rows)
        report.rows += rows
    return report


def _check(path: Path, goals: Mapping[str, list[list[int]]], recording: Recording, report: RepairReport) -> int:
    """Read a whole file; returns its rows."""
    with Episode(path) as episode:
        episode.read_through()
        if episode.verify() is False:
            report.wrong.append(f"{path.name} does not match its checksum")
        actions = np.rint(episode.action / RAD_PER_TICK + 2048).astype(int)
        for index, (arm, sent) in enumerate(goals.items()):
            rows = actions[:, index * len(IDS) : (index + 1) * len(IDS)].tolist()
            shared = min(len(rows), len(sent))
            if rows[:shared] != sent[:shared]:
                report.wrong.append(f"{path.name} has other rows than {arm} was sent")
        for camera in recording.cameras:
            report.pictures += _check_pictures(episode, camera, report)
        return len(episode)


def _check_pictures(episode: Episode, camera: str, report: RepairReport) -> int:
    """Decode every picture and compare it with the film; returns how many."""
    colours, depths = _films()
    numbers = episode.camera_time(camera)["number"]
    count = 0
    for row, picture in enumerate(episode.iter_images(camera)):
        if picture is None:
            continue
        index = int(numbers[row]) % len(colours)
        error = np.abs(picture[::4, ::4].astype(int) - colours[index, ::4, ::4]).mean()
        if error > PICTURE_ERROR:
            report.wrong.append(f"{episode.path.name} shows another picture in row {row}")
        depth = episode.depth(camera, row)
        if depth is not None and not np.array_equal(depth, depths[index]):
            report.wrong.append(f"{episode.path.name} has another depth in row {row}")
        if depth is None and episode.spec.cameras[camera].depth_unit_m is not None:
            report.wrong.append(f"{episode.path.name} has no depth in row {row}")
        count += 1 + (depth is not None)
    return count


@cache
def _films() -> tuple[Film, DepthFilm]:
    return film(), depth_film()
