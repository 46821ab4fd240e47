"""What a power cut leaves of an episode under way, where a disk wrote some of what was not synced yet and some not.

    .venv/bin/python -m benchmarks.episodes.power_cut [--cuts 50] [--seed 0] [--out power_cut.json]

A simulation, since no process can cut the power: an episode (colour and depth, 120 x 160, motors) is written by the product's writer and
its bytes are kept after each row. A cut file is made of 4 KiB pages, each as it was at a row that had been synced, or as it was up
to 50 rows (a second) later. Then it is repaired and read to its last picture, in a process of its own.

before      between two syncs: the disk has what was synced and nothing newer
forwards    within a sync that writes from the file's beginning to its end, which is what Linux does: some first pages are new
backwards   the same from the end
any         pages in any order, as a disk may that reorders in its cache; each is old or new by chance

How often a cut falls within a sync is the time that one takes, out of a second; it is measured here, in the folder for temporary files.
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

from benchmarks.episodes.collect_films import depth_film, film
from benchmarks.loop.session_watch import machine
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
ASKED = 3
"""Every so many rows a motor says how it is."""
SMALLER = slice(None, None, 4)
Choose = Callable[[random.Random, int], list[bool]]
"""Of so many pages, which are new."""


def _forwards(chance: random.Random, pages: int) -> list[bool]:
    reached = chance.randrange(pages)
    return [page < reached for page in range(pages)]


def _any(chance: random.Random, pages: int) -> list[bool]:
    return [chance.random() < 0.5 for _ in range(pages)]


ORDERS: Mapping[str, Choose] = {
    "before": lambda chance, pages: [False] * pages,
    "forwards": _forwards,
    "backwards": lambda chance, pages: _forwards(chance, pages)[::-1],
    "any": _any,
}


def pose_of(row: int) -> Joints:
    """[6] rad, other in each row."""
    return np.full(6, 0.01 * (row + 1), np.float32)


def record(folder: Path) -> tuple[list[bytes], float]:
    """The file after each row, and how long a sync of a second's rows takes, in seconds, the median."""
    spec = BenchSpec(
        "bench", tuple("abcdef"), {"top": CameraSpec(120, 160, CAMERA_HZ, 0.001)}, RATE_HZ, False, "", False
    )
    writer = EpisodeWriter(folder, spec, EpisodeMeta("demo", ""), reserve_bytes=0)
    colours, depths = film(), depth_film()
    kept, took_s = [], []
    for row in range(ROWS):
        time_s = row / RATE_HZ
        number = int(time_s * CAMERA_HZ)
        place = number % len(colours)
        image = np.ascontiguousarray(colours[place, SMALLER, SMALLER])
        depth = np.ascontiguousarray(depths[place, SMALLER, SMALLER])
        frame = Frame(image, number, number / CAMERA_HZ, "global_time", time_s, 0.0, repeated=False, depth=depth)
        pose = pose_of(row)
        motors = (MotorReading(row % 6, 30.0, 12.0, 0),) if row % ASKED == 0 else ()
        observation = Observation(time_s, time_s, pose, pose, pose, {"top": frame}, motors=motors)
        writer.append(Step(observation, Decision(pose, Actor.HUMAN), pose, time_s))
        kept.append(writer.path.read_bytes())
        if row % UNSYNCED_ROWS == UNSYNCED_ROWS - 1:
            took_s.append(_sync_s(writer.path))
    writer.leave()
    return kept, float(np.median(took_s))


def _sync_s(path: Path) -> float:
    handle = os.open(path, os.O_RDWR)
    began_s = time.monotonic()
    os.fdatasync(handle)
    took_s = time.monotonic() - began_s
    os.close(handle)
    return took_s


def cut(versions: list[bytes], choose: Choose, chance: random.Random) -> tuple[bytes, int]:
    """The file as the cut leaves it, and how many rows had been synced."""
    synced = chance.randrange(1, ROWS - UNSYNCED_ROWS)
    old, new = versions[synced - 1], versions[synced - 1 + chance.randint(1, UNSYNCED_ROWS)]
    fresh = choose(chance, -(-len(new) // PAGE))
    whole = b"".join(
        (new if is_new else old)[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")
        for page, is_new in enumerate(fresh)
    )
    return whole[: len(new) if any(fresh) else len(old)], synced


def read(folder: Path) -> str:
    """In the child: repair the folder and read what came of it; how many rows, or what is wrong."""
    said = repair(folder)
    for path in list_episodes(folder):
        try:
            with Episode(path) as episode:
                episode.read_through()
                list(episode.pictures("top"))
                poses = np.array([pose_of(row) for row in range(len(episode))])
                right = np.array_equal(episode.action, poses) and np.array_equal(episode.qpos, poses)
                right &= episode.motors["row"].tolist() == list(range(0, len(episode), ASKED))
                return str(len(episode)) if right else "wrong"
        except DataError as error:
            return f"damaged: {error}"
    return f"left: {said}"


def judge(file: bytes, synced: int) -> str:
    """What became of a cut file."""
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
    asked = parser.parse_args()
    if asked.read:
        sys.stdout.write(read(asked.read))
        return
    with tempfile.TemporaryDirectory(prefix="ebt-power-") as name:
        versions, sync_s = record(Path(name))
    found: dict[str, Any] = {}
    sys.stdout.write(head(("what the disk wrote", "cuts", *COLUMNS.values())))
    for order, choose in ORDERS.items():
        chance = random.Random(f"{asked.seed}/{order}")
        counts = Counter(judge(*cut(versions, choose, chance)) for _ in range(asked.cuts))
        found[order] = dict(counts)
        sys.stdout.write(line([order, str(asked.cuts), *(str(counts[kind]) for kind in COLUMNS)]))
        sys.stdout.flush()
    sys.stdout.write(f"\nA sync of a second's rows took {1e3 * sync_s:.1f} ms here.\n")
    if asked.out:
        about = {"sync_s": sync_s, "machine": machine(), "date": datetime.now(UTC).date().isoformat()}
        asked.out.write_text(json.dumps({"cuts": found} | about, indent=1) + "\n")


if __name__ == "__main__":
    main()
