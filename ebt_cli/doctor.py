"""`ebt doctor`: check this machine and report each fault with its fix."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ebt_cli.terminal.console import notify, result_json, result_table
from ebt_data.errors import TaskFailed
from ebt_data.versions import installed_version

PACKAGES = ("ebt", "torch", "mujoco", "h5py", "numpy", "dynamixel-sdk", "pyrealsense2")
LEAST_DISK_GB = 2.0
"""A demonstration of the twin takes about 1 MB; two RealSense colour streams as JPEG about 200 MB in ten minutes."""
BEST_LATENCY_MS = 1
"""Of the FTDI chip; its 16 ms default bounds the loop to 60 reads a second. https://emanual.robotis.com/docs/en/software/
dynamixel/dynamixel_sdk/ names the setting."""
OK, NOTE, FAULT = "ok", "note", "fault"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    state: str
    """`ok`, `note` (works, could be better) or `fault`."""
    found: str
    fix: str = ""


def doctor(
    release: Annotated[
        str,
        typer.Option(metavar="BENCH", help="Let go of arms that an earlier session left holding. Support them first."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Check this machine: packages, simulation renderer, cameras, serial ports, disk, loop timing. Exits with 1 if a check fails."""
    if release:
        _release(release)
        return
    findings = [finding for check in CHECKS for finding in check()]
    if json:
        result_json("doctor", {"findings": [vars(finding) for finding in findings]})
    else:
        result_table(("check", "state", "found", "fix"), [(f.check, f.state, f.found, f.fix) for f in findings])
    faults = [finding for finding in findings if finding.state == FAULT]
    if faults:
        raise TaskFailed(f"{', '.join(f.check for f in faults)}: broken", hint=faults[0].fix)


def _release(name: str) -> None:
    from ebt_hardware.config.benches import load_bench

    table = load_bench(name)
    if table.kind == "twin":
        notify(f"bench {name} is a twin: its arms ended with the session, and nothing holds")
        return
    result_table(("released",), ([arm] for arm in table.release()))


def _packages() -> Iterator[Finding]:
    yield Finding("python", OK, sys.version.split()[0])
    for name in PACKAGES:
        found = installed_version(name)
        if found is not None:
            yield Finding(name, OK, found)
        else:
            # It has no wheel for every platform: Apple and ARM machines work without it.
            state = NOTE if name == "pyrealsense2" else FAULT
            yield Finding(name, state, "not installed", f"pip install {name}")


def _renderer() -> Iterator[Finding]:
    from ebt_hardware.twin.render.rendering import SLOWEST, choose_renderer

    renderer = choose_renderer()
    slow = renderer == SLOWEST
    fix = "apt-get install libegl1 libgl1 libgl1-mesa-dri" if slow else ""
    words = "ray caster: no OpenGL here, pictures are slower and plainer" if slow else f"{renderer}, off screen"
    yield Finding("twin renderer", NOTE if slow else OK, words, fix)


def _realsense() -> Iterator[Finding]:
    # In a child process: a broken libusb crashes the process that loads it.
    code = "from ebt_hardware.cameras.realsense import list_serials; print(len(list_serials()))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    if child.returncode:
        why = (child.stderr.strip().splitlines() or ["it crashed"])[-1].partition("HardwareError: ")
        fix = "apt-get install libusb-1.0-0; pip install --force-reinstall pyrealsense2 libusb-package"
        yield Finding("RealSense", FAULT, f"{why[2] or why[0]}; the twin works without", fix)
        return
    yield Finding("RealSense", OK, f"{child.stdout.strip()} cameras plugged in")


def _ports() -> Iterator[Finding]:
    ports = sorted(port for pattern in ("ttyUSB*", "ttyACM*") for port in Path("/dev").glob(pattern))
    if not ports:
        yield Finding("serial ports", NOTE, "none: only the twin can be used", "plug in a U2D2 or OpenRB-150")
    for port in ports:
        if not os.access(port, os.R_OK | os.W_OK):
            yield Finding(str(port), FAULT, "permission denied", "sudo usermod -aG dialout $USER, then log in again")
            continue
        yield _latency(port)


def _latency(port: Path) -> Finding:
    timer = Path("/sys/class/tty") / port.name / "device" / "latency_timer"
    if not timer.is_file():
        return Finding(str(port), OK, "usable")
    latency_ms = int(timer.read_text())
    slow = latency_ms > BEST_LATENCY_MS
    fix = f"echo {BEST_LATENCY_MS} | sudo tee {timer}" if slow else ""
    return Finding(str(port), NOTE if slow else OK, f"usable, latency timer {latency_ms} ms", fix)


def _compiler() -> Iterator[Finding]:
    found = shutil.which(os.environ.get("CXX", "g++"))
    fix = "" if found else "apt-get install g++"
    yield Finding(
        "compiler", OK if found else NOTE, found or "no g++: training and planning run uncompiled, only slower", fix
    )


def _folders() -> Iterator[Finding]:
    """Where ebt writes: the current folder, temporary files, and shared memory."""
    here = Path.cwd()
    if not os.access(here, os.W_OK):
        yield Finding("this folder", FAULT, f"{here} cannot be written", "cd elsewhere, or name folders with --out")
    try:
        yield Finding("temporary folder", OK, tempfile.gettempdir())
    except FileNotFoundError:
        yield Finding("temporary folder", NOTE, "none can be written: some pictures fail", "export TMPDIR=/a/folder")
    from ebt_recipes.workers import workers_possible

    shared = workers_possible()
    fix = "" if shared else "mount -o remount,rw,size=1g /dev/shm; in a container: docker run --shm-size=1g"
    words = "usable" if shared else "/dev/shm is full or read-only: rollouts run one at a time, twin_live not at all"
    yield Finding("shared memory", OK if shared else NOTE, words, fix)


def _terminal() -> Iterator[Finding]:
    encoding = (sys.stderr.encoding or "ascii").lower()
    good = encoding.startswith("utf")
    words = encoding if good else f"{encoding}: bars and dots are shown as question marks"
    yield Finding("text encoding", OK if good else NOTE, words, "" if good else "export LC_ALL=C.UTF-8")


def _disk() -> Iterator[Finding]:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    short = free_gb < LEAST_DISK_GB
    fix = "free some, or record elsewhere with --out" if short else ""
    yield Finding("disk", FAULT if short else OK, f"{free_gb:.1f} GB free in {Path.cwd()}", fix)


def _real_time() -> Iterator[Finding]:
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_RTPRIO)[0] > 0 or os.geteuid() == 0
    fix = "" if allowed else "add `@realtime - rtprio 50` to /etc/security/limits.d/ebt.conf and yourself to that group"
    found = "allowed" if allowed else "not allowed: ticks may be late under load"
    yield Finding("real-time priority", OK if allowed else NOTE, found, fix)
    cores = len(os.sched_getaffinity(0))
    fix = "" if cores > 1 else "allow it two: taskset, or the container's cpu limit"
    words = f"{cores}" if cores > 1 else "1: rollouts take twice as long, and a policy trains half as much in its time"
    yield Finding("cores", OK if cores > 1 else NOTE, words, fix)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _packages,
    _renderer,
    _compiler,
    _realsense,
    _ports,
    _disk,
    _folders,
    _terminal,
    _real_time,
)
