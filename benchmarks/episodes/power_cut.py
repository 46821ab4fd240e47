"""What a power cut leaves of the current episode, where a disk wrote some of the unsynced pages and some not.

    .venv/bin/python -m benchmarks.episodes.power_cut [--cuts 50] [--seed 0] [--out power_cut.json]

This is a simulation, since no process can cut the power: the product's writer writes an episode (colour and depth, 120
x 160, motors) and its bytes are kept after each row. A cut file is made of 4 KiB pages, each as of a synced row, or as
of up to 50 rows (a second) later. Then it is repaired and read to its last picture, in its own process.

before      between two syncs: the disk has what was synced and nothing newer
forwards    within a sync that writes from the file's start to its end, as Linux does: some first pages are new
backwards   the same from the end
any         pages in any order, as a disk that reorders in its cache may write them; each is old or new at random

The probability that a cut falls within a sync is its duration out of a second; it is measured here, in the folder for
temporary files.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.episodes.collect_replayed import depth_film, film
from benchmarks.loop.session_metrics import machine
from benchmarks.table import head, line
from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.repair import repair
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import Actor, BenchSpec, CameraSpec, Decision, Frame, Joints, MotorReading, Observation, Step

PAGE = 4096  # bytes
ROWS, UNSYNCED_ROWS = 160, 50
RATE_HZ, CAMERA_HZ = 50.0, 30.0
MOTOR_READING_ROWS = 3
"""Rows between two readings of a motor's state."""
SMALLER = slice(None, None, 4)
Choose = Callable[[random.Random, int], list[bool]]
"""Selects which of so many pages are new."""


def _forwards(rng: random.Random, pages: int) -> list[bool]:
    reached = rng.randrange(pages)
    return [page < reached for page in range(pages)]


def _any(rng: random.Random, pages: int) -> list[bool]:
    return [rng.random() < 0.5 for _ in range(pages)]


ORDERS: Mapping[str, Choose] = {
    "before": lambda rng, pages: [False] * pages,
    "forwards": _forwards,
    "backwards": lambda rng, pages: _forwards(rng, pages)[::-1],
    "any": _any,
}


def pose_of(row: int) -> Joints:
    """[6] rad, different in each row."""
    return np.full(6, 0.01 * (row + 1), np.float32)


def record(folder: Path) -> tuple[list[bytes], float]:
    """The file after each row, and the median duration of a sync of a second's rows, in seconds."""
    spec = BenchSpec(
        "bench", tuple("abcdef"), {"top": CameraSpec(120, 160, CAMERA_HZ, 0.001)}, RATE_HZ, False, "", False
    )
    writer = EpisodeWriter(folder, spec, EpisodeMeta("demo", ""), reserve_bytes=0)
    colours, depths = film(), depth_film()
    kept, durations_s = [], []
    for row in range(ROWS):
        time_s = row / RATE_HZ
        number = int(time_s * CAMERA_HZ)
        place = number % len(colours)
        image = np.ascontiguousarray(colours[place, SMALLER, SMALLER])
        depth = np.ascontiguousarray(depths[place, SMALLER, SMALLER])
        frame = Frame(image, number, number / CAMERA_HZ, "global_time", time_s, 0.0, repeated=False, depth=depth)
        pose = pose_of(row)
        motors = (MotorReading(row % 6, 30.0, 12.0, 0),) if row % MOTOR_READING_ROWS == 0 else ()
        observation = Observation(time_s, time_s, pose, pose, pose, {"top": frame}, motors=motors)
        writer.append(Step(observation, Decision(pose, Actor.HUMAN), pose, time_s))
        kept.append(writer.path.read_bytes())
        if row % UNSYNCED_ROWS == UNSYNCED_ROWS - 1:
            durations_s.append(_sync_s(writer.path))
    writer.abandon()
    return kept, float(np.median(durations_s))


def _sync_s(path: Path) -> float:
    handle = os.open(path, os.O_RDWR)
    start_s = time.monotonic()
    os.fdatasync(handle)
    duration_s = time.monotonic() - start_s
    os.close(handle)
    return duration_s


def cut(versions: list[bytes], choose: Choose, rng: random.Random) -> tuple[bytes, int]:
    """The file after the cut, and the number of synced rows."""
    synced = rng.randrange(1, ROWS - UNSYNCED_ROWS)
    old, new = versions[synced - 1], versions[synced - 1 + rng.randint(1, UNSYNCED_ROWS)]
    are_new = choose(rng, -(-len(new) // PAGE))
    whole = b"".join(
        (new if is_new else old)[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")
        for page, is_new in enumerate(are_new)
    )
    return whole[: len(new) if any(are_new) else len(old)], synced


def read(folder: Path) -> str:
    """In the child process: repair the folder and read the episode; the number of rows, or what is wrong."""
    messages = repair(folder)
    for path in list_episodes(folder):
        try:
            with Episode(path) as episode:
                episode.read_through()
                list(episode.iter_images("top"))
                poses = np.array([pose_of(row) for row in range(len(episode))])
                correct = np.array_equal(episode.action, poses) and np.array_equal(episode.qpos, poses)
                correct &= episode.motors["row"].tolist() == list(range(0, len(episode), MOTOR_READING_ROWS))
                return str(len(episode)) if correct else "wrong"
        except DataError as error:
            return f"damaged: {error}"
    return f"left: {messages}"


def judge(file: bytes, synced: int) -> str:
    """The outcome for a cut file, a key of `COLUMNS`."""
    with tempfile.TemporaryDirectory(prefix="ebt-power-") as name:
        (Path(name) / "episode_0000.part").write_bytes(file)
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.episodes.power_cut", "--read", name],
            capture_output=True,
            text=True,
            check=False,
        )
    if child.returncode:
        return "crashed"
    if child.stdout.isdecimal():
        return "kept" if int(child.stdout) >= synced else "short"
    return child.stdout.partition(":")[0]


COLUMNS = {
    "kept": "every synced row kept",
    "short": "fewer",
    "wrong": "wrong rows",
    "damaged": "found damaged when read",
    "left": "left as .part",
    "crashed": "crashed",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cuts", type=int, default=50, help="in each order")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        sys.stdout.write(read(args.read))
        return
    with tempfile.TemporaryDirectory(prefix="ebt-power-") as name:
        versions, sync_s = record(Path(name))
    results: dict[str, Any] = {}
    sys.stdout.write(head(("what the disk wrote", "cuts", *COLUMNS.values())))
    for order, choose in ORDERS.items():
        rng = random.Random(f"{args.seed}/{order}")
        counts = Counter(judge(*cut(versions, choose, rng)) for _ in range(args.cuts))
        results[order] = dict(counts)
        sys.stdout.write(line([order, str(args.cuts), *(str(counts[kind]) for kind in COLUMNS)]))
        sys.stdout.flush()
    sys.stdout.write(f"\nA sync of a second's rows took {1e3 * sync_s:.1f} ms here.\n")
    if args.out:
        facts = {"sync_s": sync_s, "machine": machine(), "date": datetime.now(UTC).date().isoformat()}
        args.out.write_text(json.dumps({"cuts": results} | facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
