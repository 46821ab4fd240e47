"""Times a live session: leader and follower over ptys, two cameras, an episode file, as on a bench of real arms.

    .venv/bin/python -m benchmarks.loop.live_session [--seconds 600] [--rate 50] [--memory-speed] [--out loop.json]

What runs is what `ebt collect` runs (DynamixelBus, RealSenseCamera, Bench, LeaderArm, Recorder) but for the screen and
the scene that only a twin has. The motors are emulated in a process of their own. A pty carries bytes as fast as memory
does, so another process in between holds them back for as long as a wire at 1 Mbaud would (`--memory-speed`: none).
The cameras are `rs.software_device`s; their pictures were rendered before, with a sensor's noise added, so that neither
rendering nor too small JPEGs flatter or burden the loop.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.episodes.projector import Film, Projector
from benchmarks.loop.session_watch import BUS, Pauses, Processes, Watch, machine, stolen_s
from benchmarks.speed.bus_rate import TimedBus, compare, limit, paced
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Outcome
from ebt_hardware.bench.bench import Bench
from ebt_hardware.bench.clock import WallClock
from ebt_hardware.bench.realtime import realtime
from ebt_hardware.bench.rig import Rig
from ebt_hardware.cameras.realsense import RealSenseCamera
from ebt_hardware.config.bench_tables import CameraTable, limits, motion, registers, uncalibrated
from ebt_hardware.config.benches import TwinBench, load_bench
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.port import SerialPort
from ebt_hardware.twin.live.live_scene import LiveScene
from ebt_hardware.twin.live.server import LiveTwin
from ebt_hardware.twin.wiring import KOCH
from ebt_recipes.loop.loop import run_episode

BAUDRATE = 1_000_000
CAMERAS = {name: CameraTable(height=480, width=640, rate_hz=30.0) for name in ("top", "wrist")}
FILM_FRAMES = 60
NOISE = 2.0  # of a pixel's 255, standard deviation


def shoot(table: TwinBench) -> dict[str, Film]:
    """What the twin's cameras see of a demonstration, with noise."""
    rng = np.random.default_rng(0)
    with table.open() as bench:
        steps = list(islice(run_episode(bench, table.open_leader(bench), seed=0), FILM_FRAMES))
    films = {name: np.stack([step.observation.frames[name].image for step in steps]) for name in table.cameras}
    return {
        name: (film + rng.normal(0, NOISE, film.shape)).clip(0, 255).astype(np.uint8) for name, film in films.items()
    }


def wave(scene: LiveScene, closing: threading.Event) -> None:
    """Have the leader arm moved by its scripted operator, demonstration after demonstration."""
    for seed in range(1_000_000):
        scene.reset(seed)
        scene.demonstrate()
        while scene.demonstrating():
            if closing.wait(0.5):
                return


@contextmanager
def opened(table: TwinBench, paths: Mapping[str, str], films: Mapping[str, Film]) -> Iterator[tuple[Bench, Any, Any]]:
    """A bench without a scene on these ptys and films, inside its `with`, with its timed buses and its projectors."""
    clock, closing = WallClock(table.rate_hz), threading.Event()
    followers, leaders = table.followers, table.leaders
    joints = {name: arm.joints for name, arm in followers.items()} | {name: arm.joints for name, arm in leaders.items()}
    arms = {}
    with ExitStack() as closers:
        for name, each in joints.items():
            calibration = uncalibrated(each)
            bus = TimedBus(SerialPort(paths[name], BAUDRATE), calibration.motors)
            arms[name] = Arm(name, bus, calibration, registers(each))
            closers.callback(bus.close)
        projectors = {name: Projector(name, CAMERAS[name], film, closing) for name, film in films.items()}
        cameras = {
            name: RealSenseCamera(projector.camera.device, CAMERAS[name].spec, clock, name)
            for name, projector in projectors.items()
        }
        for name, projector in projectors.items():
            closers.callback(cameras[name].close)
            projector.thread.start()
            closers.callback(projector.thread.join)
        closers.callback(closing.set)
        closers.enter_context(realtime())
        driven = [arms[name] for name in followers]
        leads = {leader.leads: arms[name] for name, leader in leaders.items()}
        rig = Rig(driven, cameras, clock, leads, closers=closers.pop_all())
        tables = {name: arm.joints for name, arm in followers.items()}
        safety = table.safety
        with Bench(
            table.spec, rig, limits(safety, tables, {a.name: a for a in driven}), motion(safety, tables)
        ) as bench:
            yield bench, arms, projectors


def run(table: TwinBench, twin: LiveTwin, paths: Mapping[str, str], films: Mapping[str, Film], seconds: float) -> Any:
    """One session, and what it was like."""
    ticks, closing, pauses = round(seconds * table.rate_hz), threading.Event(), Pauses()
    scene: Any = twin.scene
    mover = threading.Thread(target=wave, args=(scene, closing), name="operator")
    folder = tempfile.TemporaryDirectory(prefix="ebt-loop-")
    with (
        folder as name,
        Recorder(Path(name), table.spec) as recorder,
        opened(table, paths, films) as (bench, arms, shown),
    ):
        follower, leader = arms["follower"].bus, arms["leader"].bus
        agent = table.open_leader(bench)
        mover.start()
        recorder.start(EpisodeMeta("demo", table.spec.task, bench=table.spec.name, calibration=bench.calibration))
        pids = {"loop": os.getpid(), "motors": int(twin.process.pid or 0), "writer": int(recorder.writer_pid or 0)}
        processes = Processes(pids)
        watch = Watch(ticks, tuple(CAMERAS), follower, leader, processes)
        gc.callbacks.append(pauses)
        try:
            for step in islice(run_episode(bench, agent), ticks):
                recorder.append(step)
                watch.take(step)
        finally:
            gc.callbacks.remove(pauses)
            closing.set()
            mover.join()
        delays = {name: arm.bus.read_register("return_delay_time") for name, arm in arms.items()}
        dropped = dict(recorder.dropped)
        size = recorder.finish(Outcome.SUCCESS).stat().st_size
    return watch.figures(table.rate_hz) | {
        "bus": {name: {"missed": arm.bus.missed, "corrupted": arm.bus.corrupted} for name, arm in arms.items()},
        "return_delay_counts": delays,
        "pushed": {name: projector.pushed for name, projector in shown.items()},
        "episode": {"rows": recorder.kept, "dropped_frames": dropped, "bytes": size},
        "processes": processes.figures(),
        "gc": {"longest_ms": 1e3 * pauses.longest_s, "full_collections": pauses.full},
        "twin_stood_still_s": scene.lost_s(),
    }


def table_of(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures as rows of two columns."""
    late, wire = found["lateness_ms"], found["wire"]
    yield "asked, achieved", f"{found['asked_hz']:g}, {found['rate_hz']:.3f} Hz over {found['rows']} ticks"
    yield "late ticks (skipped)", f"{found['late_ticks']} ({100 * found['late_share']:.3f} %)"
    yield "lateness p50, p99, max", f"{late['p50']:.2f}, {late['p99']:.2f}, {late['max']:.2f} ms"
    yield "tick, observed to sent p50, p99, max", "{p50:.2f}, {p99:.2f}, {max:.2f} ms".format(**found["tick_ms"])
    for name in BUS:
        kind = name.split()[-1]
        yield (
            f"{name} p50, p99 (wire)",
            "{p50:.2f}, {p99:.2f} ms".format(**found["bus_ms"][name]) + (f" ({wire[f'{kind}_ms']:.2f})"),
        )
    yield (
        "wire limit",
        f"{wire['tick_ms']:.2f} ms, {wire['tick_hz']:.0f} Hz for {wire['bytes']} bytes at {BAUDRATE} baud",
    )
    yield (
        "the same, stuffed, with return delays",
        f"{wire['stuffed tick with delays_ms']:.2f} ms, {wire['worst_hz']:.0f} Hz",
    )
    yield (
        "reads missed, replies damaged",
        ", ".join(str(sum(bus["missed"].values()) + bus["corrupted"]) + f" {arm}" for arm, bus in found["bus"].items()),
    )
    for name, camera in found["cameras"].items():
        yield (
            f"{name}: pushed, shown, missed, repeated",
            (f"{found['pushed'][name]}, {camera['delivered']}, {camera['missed']}, {camera['repeated']}"),
        )
        yield f"{name}: age p50, p99, max", "{p50:.1f}, {p99:.1f}, {max:.1f} ms".format(**camera["age_ms"])
    episode = found["episode"]
    yield (
        "episode: rows, frames dropped, size",
        (f"{episode['rows']}, {sum(episode['dropped_frames'].values())}, {episode['bytes'] / 1e6:.0f} MB"),
    )
    for name, process in found["processes"].items():
        yield (
            f"{name}: memory, growth, share of a core",
            (
                f"{process['settled_mb']:.1f} to {process['end_mb']:.1f} MB, {process['growth_mb_min']:+.3f} MB/min,"
                f" {100 * process['cpu_share']:.0f} %"
            ),
        )
    yield "garbage collector: longest, full", "{longest_ms:.2f} ms, {full_collections}".format(**found["gc"])
    loads = ", ".join(f"{load:.1f}" for load in found["load"])
    yield "load before and after, time stolen", f"{loads} on {os.cpu_count()} cores, {found['stolen_s']:.1f} s"
    for name, each in found["clients"].items():
        yield (
            f"bus alone: {name}",
            (
                f"{each['rate_hz']:.1f} Hz, {each['p50_ms']:.2f} ms p50, {each['p99_ms']:.2f} p99,"
                f" {each['cpu_ms']:.2f} ms of CPU a cycle ({100 * each['cpu_share']:.0f} %), {each['failed']} failed"
            ),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--blocks", type=int, default=3, help="turns of the comparison with the stock SDK, 20 s each")
    parser.add_argument("--memory-speed", action="store_true", help="let the ptys carry bytes as fast as they can")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    asked = parser.parse_args()
    load = [os.getloadavg()[0]]
    table: Any = load_bench("twin_live")
    table = table.model_copy(update={"rate_hz": asked.rate, "cameras": CAMERAS})
    still: Any = load_bench("twin").model_copy(update={"rate_hz": CAMERAS["top"].rate_hz, "cameras": CAMERAS})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        films = pool.submit(shoot, still).result()
    with ExitStack() as closers:
        twin = closers.enter_context(LiveTwin(table.task))
        wires = nullcontext(twin.paths) if asked.memory_speed else paced(twin.paths, BAUDRATE)
        paths = closers.enter_context(wires)
        stolen = stolen_s()
        found = run(table, twin, paths, films, asked.seconds)
        found["stolen_s"] = stolen_s() - stolen
        load.append(os.getloadavg()[0])
        clients = compare(paths, KOCH, BAUDRATE, asked.rate, asked.blocks)
    found |= {
        "asked_hz": asked.rate,
        "paced": not asked.memory_speed,
        "wire": limit(len(KOCH["follower"]), BAUDRATE, found["return_delay_counts"]),
        "clients": clients,
        "load": load,
        "command": " ".join(["benchmarks.loop.live_session", *sys.argv[1:]]),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    speed = "as fast as memory" if asked.memory_speed else f"held back to {BAUDRATE} baud"
    sys.stdout.write(f"live session, {found['rows'] / asked.rate:.0f} s, ptys {speed}\n")
    for name, value in table_of(found):
        sys.stdout.write(f"{name:<44}{value}\n")
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
