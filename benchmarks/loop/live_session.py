"""Times a live session: leader and follower over ptys, two cameras, an episode file, as on a bench of real arms.

    .venv/bin/python -m benchmarks.loop.live_session [--seconds 600] [--rate 50] [--memory-speed] [--out loop.json]

The code is that of `ebt collect` (DynamixelBus, RealSenseCamera, Bench, LeaderArm, Recorder), without the screen and
the scene that only a twin has. The motors are emulated in their own process. A pty transfers bytes at memory speed, so
another process in between delays them for as long as a bus at 1 Mbaud would (`--memory-speed`: no delay). The cameras
are `rs.software_device`s; their images are rendered before the run, with a sensor's noise added, so that neither
rendering nor too small JPEGs distort the timing of the loop.
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

from benchmarks.episodes.replay_camera import Film, ReplayCamera
from benchmarks.loop.session_metrics import BUS, GcPauses, Processes, SessionLog, machine, stolen_s
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


def render_films(table: TwinBench) -> dict[str, Film]:
    """Render a demonstration with the twin's cameras, with noise."""
    rng = np.random.default_rng(0)
    with table.open() as bench:
        steps = list(islice(run_episode(bench, table.open_leader(bench), seed=0), FILM_FRAMES))
    films = {name: np.stack([step.observation.frames[name].image for step in steps]) for name in table.cameras}
    return {
        name: (film + rng.normal(0, NOISE, film.shape)).clip(0, 255).astype(np.uint8) for name, film in films.items()
    }


def drive_leader(scene: LiveScene, closing: threading.Event) -> None:
    """Move the leader arm with its scripted operator, demonstration after demonstration."""
    for seed in range(1_000_000):
        scene.reset(seed)
        scene.demonstrate()
        while scene.demonstrating():
            if closing.wait(0.5):
                return


@contextmanager
def open_bench(
    table: TwinBench, paths: Mapping[str, str], films: Mapping[str, Film]
) -> Iterator[tuple[Bench, Any, Any]]:
    """Open a bench without a scene on these ptys and films; yields it with its arms and replay cameras."""
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
        replayed = {name: ReplayCamera(name, CAMERAS[name], film, closing) for name, film in films.items()}
        cameras = {
            name: RealSenseCamera(camera.software_camera.device, CAMERAS[name].spec, clock, name)
            for name, camera in replayed.items()
        }
        for name, camera in replayed.items():
            closers.callback(cameras[name].close)
            camera.thread.start()
            closers.callback(camera.thread.join)
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
            yield bench, arms, replayed


def run_session(
    table: TwinBench, twin: LiveTwin, paths: Mapping[str, str], films: Mapping[str, Film], seconds: float
) -> Any:
    """Run one session and measure it."""
    ticks, closing, gc_pauses = round(seconds * table.rate_hz), threading.Event(), GcPauses()
    scene: Any = twin.scene
    leader_thread = threading.Thread(target=drive_leader, args=(scene, closing), name="operator")
    folder = tempfile.TemporaryDirectory(prefix="ebt-loop-")
    with (
        folder as name,
        Recorder(Path(name), table.spec) as recorder,
        open_bench(table, paths, films) as (bench, arms, replayed),
    ):
        follower, leader = arms["follower"].bus, arms["leader"].bus
        agent = table.open_leader(bench)
        leader_thread.start()
        recorder.start(EpisodeMeta("demo", table.spec.task, bench=table.spec.name, calibration=bench.calibration))
        pids = {"loop": os.getpid(), "motors": int(twin.process.pid or 0), "writer": int(recorder.writer_pid or 0)}
        processes = Processes(pids)
        log = SessionLog(ticks, tuple(CAMERAS), follower, leader, processes)
        gc.callbacks.append(gc_pauses)
        try:
            for step in islice(run_episode(bench, agent), ticks):
                recorder.append(step)
                log.record(step)
        finally:
            gc.callbacks.remove(gc_pauses)
            closing.set()
            leader_thread.join()
        delays = {name: arm.bus.read_register("return_delay_time") for name, arm in arms.items()}
        dropped = dict(recorder.dropped)
        size = recorder.finish(Outcome.SUCCESS).stat().st_size
    return log.figures(table.rate_hz) | {
        "bus": {name: {"missed": arm.bus.missed, "corrupted": arm.bus.corrupted} for name, arm in arms.items()},
        "return_delay_counts": delays,
        "pushed": {name: camera.pushed for name, camera in replayed.items()},
        "episode": {"rows": recorder.kept, "dropped_frames": dropped, "bytes": size},
        "processes": processes.figures(),
        "gc": {"longest_ms": 1e3 * gc_pauses.longest_s, "full_collections": gc_pauses.full},
        "twin_stood_still_s": scene.skipped_s(),
    }


def table_rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures as rows of two columns."""
    late, bus_limit = figures["lateness_ms"], figures["wire"]
    yield "requested, achieved", f"{figures['asked_hz']:g}, {figures['rate_hz']:.3f} Hz over {figures['rows']} ticks"
    yield "late ticks (skipped)", f"{figures['late_ticks']} ({100 * figures['late_share']:.3f} %)"
    yield "lateness p50, p99, max", f"{late['p50']:.2f}, {late['p99']:.2f}, {late['max']:.2f} ms"
    yield "tick, observed to sent p50, p99, max", "{p50:.2f}, {p99:.2f}, {max:.2f} ms".format(**figures["tick_ms"])
    for name in BUS:
        kind = name.split()[-1]
        yield (
            f"{name} p50, p99 (bus limit)",
            "{p50:.2f}, {p99:.2f} ms".format(**figures["bus_ms"][name]) + (f" ({bus_limit[f'{kind}_ms']:.2f})"),
        )
    yield (
        "bus limit",
        f"{bus_limit['tick_ms']:.2f} ms, {bus_limit['tick_hz']:.0f} Hz for {bus_limit['bytes']} bytes at {BAUDRATE} baud",
    )
    yield (
        "the same, with byte stuffing and return delays",
        f"{bus_limit['stuffed tick with delays_ms']:.2f} ms, {bus_limit['worst_hz']:.0f} Hz",
    )
    yield (
        "reads missed, replies damaged",
        ", ".join(
            str(sum(bus["missed"].values()) + bus["corrupted"]) + f" {arm}" for arm, bus in figures["bus"].items()
        ),
    )
    for name, camera in figures["cameras"].items():
        yield (
            f"{name}: pushed, delivered, missed, repeated",
            (f"{figures['pushed'][name]}, {camera['delivered']}, {camera['missed']}, {camera['repeated']}"),
        )
        yield f"{name}: age p50, p99, max", "{p50:.1f}, {p99:.1f}, {max:.1f} ms".format(**camera["age_ms"])
    episode = figures["episode"]
    yield (
        "episode: rows, frames dropped, size",
        (f"{episode['rows']}, {sum(episode['dropped_frames'].values())}, {episode['bytes'] / 1e6:.0f} MB"),
    )
    for name, process in figures["processes"].items():
        yield (
            f"{name}: memory, growth, share of a core",
            (
                f"{process['settled_mb']:.1f} to {process['end_mb']:.1f} MB, {process['growth_mb_min']:+.3f} MB/min,"
                f" {100 * process['cpu_share']:.0f} %"
            ),
        )
    yield "garbage collector: longest, full", "{longest_ms:.2f} ms, {full_collections}".format(**figures["gc"])
    loads = ", ".join(f"{load:.1f}" for load in figures["load"])
    yield "load before and after, time stolen", f"{loads} on {os.cpu_count()} cores, {figures['stolen_s']:.1f} s"
    for name, each in figures["clients"].items():
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
    parser.add_argument("--memory-speed", action="store_true", help="do not delay the bytes on the ptys")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    load = [os.getloadavg()[0]]
    table: Any = load_bench("twin_live")
    table = table.model_copy(update={"rate_hz": args.rate, "cameras": CAMERAS})
    lockstep_table: Any = load_bench("twin").model_copy(update={"rate_hz": CAMERAS["top"].rate_hz, "cameras": CAMERAS})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        films = pool.submit(render_films, lockstep_table).result()
    with ExitStack() as closers:
        twin = closers.enter_context(LiveTwin(table.task))
        ports = nullcontext(twin.paths) if args.memory_speed else paced(twin.paths, BAUDRATE)
        paths = closers.enter_context(ports)
        stolen_before_s = stolen_s()
        figures = run_session(table, twin, paths, films, args.seconds)
        figures["stolen_s"] = stolen_s() - stolen_before_s
        load.append(os.getloadavg()[0])
        clients = compare(paths, KOCH, BAUDRATE, args.rate, args.blocks)
    figures |= {
        "asked_hz": args.rate,
        "paced": not args.memory_speed,
        "wire": limit(len(KOCH["follower"]), BAUDRATE, figures["return_delay_counts"]),
        "clients": clients,
        "load": load,
        "command": " ".join(["benchmarks.loop.live_session", *sys.argv[1:]]),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    speed = "at memory speed" if args.memory_speed else f"limited to {BAUDRATE} baud"
    sys.stdout.write(f"live session, {figures['rows'] / args.rate:.0f} s, ptys {speed}\n")
    for name, value in table_rows(figures):
        sys.stdout.write(f"{name:<44}{value}\n")
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
