"""The cost of recording an episode and of reading it: ebt's format and those of others, on the same data.

    .venv/bin/python -m benchmarks.episodes.compare [--cameras 2 4] [--seconds 10] [--ways ebt ALOHA ...] [--folder DIR]
        [--out FILE]

Cameras of 640x480 colour and depth at 30 Hz, each new picture in its own buffer, six joints, a loop of 50 Hz that only
appends rows (benchmarks/episodes/film.py, benchmarks/episodes/recordings.py). `--folder` should be on the disk used
for recording, not in memory. One episode for each format (way) and number of cameras:

    append     duration of appending a row within a tick, and ticks that were late because of it
    CPU        of all processes while recording, in cores; `then` processor time of finishing
    next       from the last row until the next episode has started; durable: until every file is synced to the disk
    size       on the disk, and the compression relative to the raw pictures, each new one counted once
    frame      one random picture of 640x480, median and 99 %: the file is open and in the page cache
    samples/s  random rows in batches of 64, each with a picture of 96x96 of every camera and 8 actions, one thread:
               from the recording (decoded or read, then resized by the same code), and from what training reads:
               ebt's cache; the layout of robomimic rewritten at that size. Its reader is SequenceDataset's
               without a cache of pictures: for each sample and key one slice of the open file
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.episodes.film import DEPTH_UNIT_M, RATE_HZ, Film, cameras, shoot
from benchmarks.episodes.recordings import WAYS, Recording, available
from benchmarks.loop.session_metrics import CLOCK_TICK_S, machine
from benchmarks.table import head, line
from ebt_data.reading.episode import list_episodes
from ebt_data.step import Actor, BenchSpec, Decision, Observation, Step
from ebt_data.windows.resize import resize_area
from ebt_data.windows.windows import Windows
from ebt_hardware.bench.clock import WallClock

LOOP_HZ = 50.0
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
SMALL = (96, 96)
BATCH, HORIZON = 64, 8
FRAME_READS = 200
"""Random pictures that are read."""
SAMPLING_S = 4.0


@dataclass(frozen=True)
class Measurement:
    """One row of a table. Seconds, unless a name says otherwise."""

    way: str
    cameras: int
    rows: int
    append_ms: tuple[float, float, float]
    """Median, 99 %, longest."""
    late_ticks: int
    cores: float
    then: float
    next: float
    durable: float
    bytes: int
    raw_bytes: int
    frame_ms: tuple[float, float]
    note: str


def due_steps(spec: BenchSpec, films: dict[str, Film], seconds: float) -> Any:
    """Steps at their due times, with the number of late ticks before each."""
    clock, late = WallClock(spec.rate_hz), 0
    frames: dict[str, Any] = {}
    for row in range(int(seconds * spec.rate_hz)):
        now_s = clock.now()
        for name, film in films.items():
            number = int(now_s * RATE_HZ)
            if name not in frames or frames[name].number != number:
                frames[name] = film.frame(number, age_s=now_s - number / RATE_HZ)
        pose = np.full(len(JOINTS), 0.3 * np.sin(row / 50), np.float32)
        observation = Observation(now_s, now_s, pose, pose, pose, dict(frames))
        yield Step(observation, Decision(pose, Actor.HUMAN), pose, now_s, skipped=late)
        late = clock.wait()


def busy_s(pids: Sequence[int]) -> float:
    """Processor time of this process and of `pids`."""
    total = time.process_time()
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) * CLOCK_TICK_S
    return total


def measure(way: str, folder: Path, spec: BenchSpec, films: dict[str, Film], seconds: float) -> Measurement:
    """Record one episode, read pictures from it, and measure both."""
    recording: Recording = WAYS[way](folder, spec)
    try:
        recording.start()
        append_times_s, late, new = [], 0, 0
        before: dict[str, int] = {}
        start_s, began_busy_s = time.perf_counter(), busy_s(recording.pids)
        for step in due_steps(spec, films, seconds):
            at_s = time.perf_counter()
            recording.append(step)
            append_times_s.append(time.perf_counter() - at_s)
            late += step.skipped
            numbers = {name: frame.number for name, frame in step.observation.frames.items()}
            new += sum(before.get(name) != number for name, number in numbers.items())
            before = numbers
        recorded_s, ended_busy_s = time.perf_counter() - start_s, busy_s(recording.pids)
        at_s = time.perf_counter()
        recording.finish()
        recording.start()
        next_s = time.perf_counter() - at_s
        recording.wait_sealed()
        files = [path for path in folder.rglob("*") if path.is_file()]
        sync(files)
        durable_s = time.perf_counter() - at_s
        size = sum(path.stat().st_size for path in files)
        then_s = busy_s(recording.pids) - ended_busy_s
        recording.append(step)
        recording.finish()
        recording.wait_sealed()
        read_times_ms = []
        rng = np.random.default_rng(0)
        for row in rng.integers(0, len(append_times_s), FRAME_READS):
            at_s = time.perf_counter()
            picture = recording.picture(int(row), f"camera_{rng.integers(len(films))}")
            read_times_ms.append(1e3 * (time.perf_counter() - at_s))
            assert picture.shape == (480, 640, 3), f"{way} gave {picture.shape}"
    finally:
        recording.close()
    film = next(iter(films.values()))
    appended = 1e3 * np.array(append_times_s)
    return Measurement(
        way=way,
        cameras=len(films),
        rows=len(append_times_s),
        append_ms=(float(np.median(appended)), float(np.quantile(appended, 0.99)), float(appended.max())),
        late_ticks=late,
        cores=(ended_busy_s - began_busy_s) / recorded_s,
        then=then_s,
        next=next_s,
        durable=durable_s,
        bytes=size,
        raw_bytes=new * (film.images[0].nbytes + film.depths[0].nbytes),
        frame_ms=(float(np.median(read_times_ms)), float(np.quantile(read_times_ms, 0.99))),
        note=recording.note,
    )


def sync(files: Sequence[Path]) -> None:
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


class SlicedSamples:
    """Samples as robomimic's SequenceDataset reads them from an open file."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file, self._names = h5py.File(path, "r", swmr=True), names
        self.rows = len(self._file["data/demo_0/obs/action"]) - HORIZON

    def __call__(self, rows: NDArray[np.int64]) -> None:
        for row in rows:
            self._file["data/demo_0/obs/action"][row : row + HORIZON]
            self._file["data/demo_0/obs/qpos"][row : row + 1]
            for name in self._names:
                picture = self._file[f"data/demo_0/obs/{name}_image"][row : row + 1][0]
                resize_area(picture, SMALL)


class WindowSamples:
    """Samples as training reads them."""

    def __init__(self, paths: list[Path], way: Any) -> None:
        self._windows = Windows(paths, 1, HORIZON, image_size=SMALL, pictures=way)
        self.rows = len(self._windows)

    def __call__(self, rows: NDArray[np.int64]) -> None:
        self._windows.batch(rows)


def samples_s(take: Any) -> float:
    """Samples per second, after one batch that opens the files."""
    rng = np.random.default_rng(1)
    take(rng.integers(0, take.rows, BATCH))
    count, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < SAMPLING_S:
        take(rng.integers(0, take.rows, BATCH))
        count += BATCH
    return count / (time.perf_counter() - start_s)


def sampling(folder: Path, names: Sequence[str], ways: Sequence[str]) -> dict[str, float]:
    """Samples per second by source."""
    rates = {}
    if "ebt" in ways:
        paths = list_episodes(folder / "ebt")
        rates["ebt, as recorded"] = samples_s(WindowSamples(paths, "files"))
        start_s = time.perf_counter()
        cached = WindowSamples(paths, "cache")
        sys.stderr.write(f"the cache took {time.perf_counter() - start_s:.1f} s\n")
        rates["ebt, cache"] = samples_s(cached)
    if "robomimic" in ways:
        path = folder / "robomimic" / "episode_0.hdf5"
        rates["robomimic, as recorded"] = samples_s(SlicedSamples(path, names))
        rates["robomimic, at 96x96"] = samples_s(SlicedSamples(smaller(path, names), names))
    return rates


def smaller(path: Path, names: Sequence[str]) -> Path:
    """The same layout with pictures of the training size."""
    small = path.with_name("small.hdf5")
    with h5py.File(path) as source, h5py.File(small, "w") as file:
        for name in ("action", "qpos"):
            file[f"data/demo_0/obs/{name}"] = source[f"data/demo_0/obs/{name}"][:]
        for name in names:
            pictures = source[f"data/demo_0/obs/{name}_image"]
            file[f"data/demo_0/obs/{name}_image"] = np.stack([resize_area(picture, SMALL) for picture in pictures])
    return small


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cameras", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each episode")
    parser.add_argument("--ways", nargs="*", default=available(), choices=list(WAYS))
    parser.add_argument("--depth-unit", type=float, default=DEPTH_UNIT_M, help="metres a count of depth")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    rows: list[Measurement] = []
    samples: dict[int, dict[str, float]] = {}
    for count in args.cameras:
        specs = cameras(count, args.depth_unit)
        films = shoot(specs)
        spec = BenchSpec("benchmark", JOINTS, specs, LOOP_HZ, sim=False, task="benchmark")
        folder = Path(tempfile.mkdtemp(dir=args.folder))
        try:
            for way in args.ways:
                rows.append(measure(way, folder / way, spec, films, args.seconds))
                sys.stderr.write(f"{count} cameras, {way}: {rows[-1].next:.2f} s to finish\n")
            samples[count] = sampling(folder, list(specs), args.ways)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    show(rows, samples)
    if args.out:
        facts = {
            "machine": machine(),
            "load_average": os.getloadavg(),
            "seconds": args.seconds,
            "depth_unit_m": args.depth_unit,
        }
        args.out.write_text(
            json.dumps(facts | {"rows": [asdict(row) for row in rows], "samples_s": samples}, indent=1) + "\n"
        )


def show(rows: Sequence[Measurement], samples: dict[int, dict[str, float]]) -> None:
    sys.stdout.write(f"{machine()}, load {os.getloadavg()[0]:.1f}\n")
    columns = (
        "append p50, p99, max, ms",
        "late",
        "CPU, cores",
        "then, s",
        "next, s",
        "durable, s",
        "MB",
        "smaller than raw",
        "frame p50, p99, ms",
        "",
    )
    for count in samples:
        sys.stdout.write(head([f"{count} cameras", *columns]))
        for row in rows:
            if row.cameras == count:
                append, frame = (
                    ", ".join(f"{value:.2f}" for value in values) for values in (row.append_ms, row.frame_ms)
                )
                sys.stdout.write(line([
                    row.way, append, f"{row.late_ticks} of {row.rows}", f"{row.cores:.2f}", f"{row.then:.1f}", f"{row.next:.2f}",
                    f"{row.durable:.2f}", f"{row.bytes / 1e6:.0f}", f"{row.raw_bytes / row.bytes:.1f} x", frame, row.note,
                ]))  # fmt: skip
    sys.stdout.write(head(["samples/s", *(f"{count} cameras" for count in samples)]))
    for name in dict.fromkeys(name for rates in samples.values() for name in rates):
        sys.stdout.write(line([name, *(f"{rates.get(name, float('nan')):.0f}" for rates in samples.values())]))


if __name__ == "__main__":
    main()
