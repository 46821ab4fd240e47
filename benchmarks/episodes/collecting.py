"""One `ebt collect` on emulated arms, as a process that can be killed, and what it left held against what the arms saw."""

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

from benchmarks.episodes.collect_films import bench_lines, depth_film, film
from benchmarks.episodes.projector import DepthFilm, Film
from benchmarks.episodes.swinging_arms import IDS, Arms
from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.recording.repair import repair
from ebt_hardware.motors.control_table import RAD_PER_TICK

PATIENCE_S = 60.0
LOOK_S = 0.002
PICTURE_ERROR = 6.0  # of 255, mean: a JPEG's; a neighbour in the film is further off by several times
PLAIN = ("-m", "ebt_cli")
WITH_FILMS = ("-m", "benchmarks.episodes.collect_films")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Recording:
    """What is recorded."""

    pairs: tuple[str, ...] = ("arm",)
    """Of leader and follower."""
    cameras: tuple[str, ...] = ()
    """Of `collect_films.CAMERAS`."""


RECORDINGS = {
    "colour": Recording(cameras=("colour",)),
    "depth": Recording(cameras=("depth",)),
    "two_arms": Recording(pairs=("left", "right")),
}


STARVED = 4
"""Exit code where an arm does not answer in time: docs/cli.md."""


class EndedEarly(Exception):
    """The session could not be brought to the moment: the machine starved the emulated arms of their processor."""


class Session:
    """The process, its writer, and its arms; a context manager that leaves nothing behind."""

    def __init__(self, recording: Recording, folder: Path, episodes: Path) -> None:
        """The arms' files go to `folder`, what is recorded to `episodes`."""
        self.arms = Arms(folder, episodes, recording.pairs, "\n".join(map(bench_lines, recording.cameras)))
        self.said = ""
        """On stderr, once it has ended."""
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

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something that the session does.

        Raises:
            EndedEarly: its arms were silent, or it did not do it in time.
        RuntimeError: it ended for another reason.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while not reached():
            if self.process.poll() is not None:
                code, said = self.process.returncode, self.process.communicate()[1]
                raise (EndedEarly if code == STARVED else RuntimeError)(f"ended by itself with {code}: {said}")
            if time.monotonic() > deadline_s:
                raise EndedEarly("hung")
            time.sleep(LOOK_S)  # between two looks at another process; nothing is timed by it

    def type(self, key: str) -> None:
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
        """The exit code; one that goes on recording for so many ticks is interrupted, one that hangs is killed."""
        asked = self.arms.asked
        deadline_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline_s:
            if self.arms.asked > asked + ticks:
                self.process.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a shell runs in the background
                asked = sys.maxsize
            time.sleep(LOOK_S)  # between two looks at another process; nothing is timed by it
        if self.process.poll() is None:
            self.process.kill()
        self.said = self.process.communicate()[1]
        return self.process.returncode


def ends(process: int) -> bool:
    """True once the process behind this handle is gone, whoever its parent is by then; False where it stays."""
    return bool(select.select([process], [], [], PATIENCE_S)[0])


@dataclass
class Found:
    """What a session left, after the next one's repair."""

    episodes: int = 0
    """Files."""
    rows: int = 0
    pictures: int = 0
    """Decoded and held against the film, depth included."""
    lost_ticks: int = 0
    """Goals that the arms were sent in an episode, less its rows; the largest."""
    wrong: list[str] = field(default_factory=list)
    """Whatever breaks a promise."""
    said: list[str] = field(default_factory=list)
    """By the repair."""


def look(episodes: Path, told_in: Mapping[str, Mapping[str, list[list[int]]]], recording: Recording) -> Found:
    """Repair as the next session would, then hold every file against the arms' own count, `Arms.told`."""
    found = Found(said=repair(episodes))
    found.wrong += [f"{path.name} is left over" for path in episodes.glob("*.part")]
    for name, goals in told_in.items():
        path = episodes / f"{name}.h5"
        told = max(map(len, goals.values()))
        rows = 0
        if path.exists():
            found.episodes += 1
            try:
                rows = _check(path, goals, recording, found)
            except DataError as error:
                found.wrong.append(f"{name} lost: {error}")
        elif told > 1:
            found.wrong.append(f"{name} lost: no file, but the arms were sent {told} goals")
        if rows > told:
            found.wrong.append(f"{name} has {rows} rows of {told} ticks")
        found.lost_ticks = max(found.lost_ticks, told - rows)
        found.rows += rows
    return found


def _check(path: Path, goals: Mapping[str, list[list[int]]], recording: Recording, found: Found) -> int:
    """Read a file through; returns its rows."""
    with Episode(path) as episode:
        episode.read_through()
        if episode.verify() is False:
            found.wrong.append(f"{path.name} is not what its sum says")
        actions = np.rint(episode.action / RAD_PER_TICK + 2048).astype(int)
        for place, (arm, told) in enumerate(goals.items()):
            rows = actions[:, place * len(IDS) : (place + 1) * len(IDS)].tolist()
            both = min(len(rows), len(told))
            if rows[:both] != told[:both]:
                found.wrong.append(f"{path.name} has other rows than {arm} was sent")
        for camera in recording.cameras:
            found.pictures += _check_pictures(episode, camera, found)
        return len(episode)


def _check_pictures(episode: Episode, camera: str, found: Found) -> int:
    """Decode every picture and hold it against the film; returns how many."""
    colours, depths = _films()
    numbers = episode.camera_time(camera)["number"]
    count = 0
    for row, picture in enumerate(episode.pictures(camera)):
        if picture is None:
            continue
        place = int(numbers[row]) % len(colours)
        away = np.abs(picture[::4, ::4].astype(int) - colours[place, ::4, ::4]).mean()
        if away > PICTURE_ERROR:
            found.wrong.append(f"{episode.path.name} shows another picture in row {row}")
        depth = episode.depth(camera, row)
        if depth is not None and not np.array_equal(depth, depths[place]):
            found.wrong.append(f"{episode.path.name} has another depth in row {row}")
        if depth is None and episode.spec.cameras[camera].depth_unit_m is not None:
            found.wrong.append(f"{episode.path.name} has no depth in row {row}")
        count += 1 + (depth is not None)
    return count


@cache
def _films() -> tuple[Film, DepthFilm]:
    return film(), depth_film()
