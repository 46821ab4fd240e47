"""Metrics of a live session: every tick's times, the processes' memory, the garbage collector's pauses."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.bus_rate import TimedBus
from ebt_data.step import Step

SAMPLE_PERIOD_S = 5.0  # between two samples of the processes
PAGE = os.sysconf("SC_PAGE_SIZE")
BUS = ("follower read", "leader read", "follower write")
CLOCK_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Processes:
    """Memory and processor time of a session's processes, sampled periodically."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.samples: list[tuple[float, dict[str, int], dict[str, float]]] = []

    def sample(self, time_s: float) -> None:
        rss, cpu = {}, {}
        for name, pid in self._pids.items():
            rss[name] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            cpu[name] = (int(fields[11]) + int(fields[12])) * CLOCK_TICK_S
        self.samples.append((time_s, rss, cpu))

    def figures(self) -> dict[str, dict[str, float]]:
        """Of each process: MB after the first minute (or half) and at the end, growth in between, share of a core."""
        times = np.array([sample[0] for sample in self.samples])
        settled = int(np.searchsorted(times, min(60.0, times[-1] / 2) - 1e-6))
        figures = {}
        for name in self._pids:
            rss = np.array([sample[1][name] for sample in self.samples]) / 1e6
            cpu = self.samples[-1][2][name] - self.samples[0][2][name]
            slope = np.polyfit(times[settled:], rss[settled:], 1)[0] if len(times) - settled > 2 else np.nan
            figures[name] = {
                "settled_mb": float(rss[settled]),
                "end_mb": float(rss[-1]),
                "growth_mb_min": float(60 * slope),
                "cpu_share": float(cpu / (times[-1] - times[0])),
            }
        return figures


class SessionLog:
    """Times and frame numbers of every tick, in preallocated arrays, so that measuring allocates no memory."""

    def __init__(
        self, ticks: int, cameras: Sequence[str], follower: TimedBus, leader: TimedBus, processes: Processes
    ) -> None:
        self._cameras, self._follower, self._leader, self._processes = cameras, follower, leader, processes
        self._next_s = 0.0
        self.count = 0
        names = ("time", "sent", "skipped", *BUS)
        self.columns = {name: np.full(ticks, np.nan) for name in names}
        for camera in cameras:
            self.columns |= {f"{camera} {what}": np.full(ticks, np.nan) for what in ("number", "age", "repeated")}

    def record(self, step: Step) -> None:
        observation, row = step.observation, self.count
        values = {
            "time": observation.time_s,
            "sent": step.sent_s,
            "skipped": step.skipped,
            "follower read": self._follower.read_s,
            "leader read": self._leader.read_s,
            "follower write": self._follower.write_s,
        }
        for camera, frame in observation.frames.items():
            values[f"{camera} number"] = frame.number
            values[f"{camera} age"] = frame.age_s
            values[f"{camera} repeated"] = frame.repeated
        for name, value in values.items():
            self.columns[name][row] = value
        self.count += 1
        if observation.time_s >= self._next_s:
            self._processes.sample(observation.time_s)
            self._next_s += SAMPLE_PERIOD_S

    def figures(self, rate_hz: float) -> dict[str, Any]:
        """Figures so far; lateness is measured from each tick's deadline, and a skipped tick counts as late."""
        columns = {name: column[: self.count] for name, column in self.columns.items()}
        times, skipped = columns["time"], columns["skipped"]
        due = (np.arange(self.count) + np.cumsum(skipped)) / rate_hz
        return {
            "rows": self.count,
            "rate_hz": float((self.count - 1) / (times[-1] - times[0])),
            "late_ticks": int(skipped.sum()),
            "late_share": float(skipped.sum() / (self.count + skipped.sum())),
            "lateness_ms": spread_ms(times - due),
            "tick_ms": spread_ms(columns["sent"] - times),
            "bus_ms": {name: spread_ms(columns[name]) for name in BUS},
            "cameras": {name: self._camera(columns, name) for name in self._cameras},
        }

    def _camera(self, columns: Mapping[str, NDArray[np.float64]], name: str) -> dict[str, Any]:
        numbers = columns[f"{name} number"]
        delivered = len(np.unique(numbers))
        return {
            "delivered": delivered,
            "missed": int(numbers[-1] - numbers[0]) + 1 - delivered,
            "repeated": int(columns[f"{name} repeated"].sum()),
            "age_ms": spread_ms(columns[f"{name} age"]),
        }


class GcPauses:
    """Durations of Python's garbage collections."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.full = 0
        self._start_s = 0.0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._start_s = time.perf_counter()
        else:
            self.longest_s = max(self.longest_s, time.perf_counter() - self._start_s)
            self.full += info["generation"] == 2


def spread_ms(values_s: NDArray[np.float64]) -> dict[str, float]:
    return {
        "p50": float(1e3 * np.median(values_s)),
        "p99": float(1e3 * np.quantile(values_s, 0.99)),
        "max": float(1e3 * values_s.max()),
    }


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, Python {platform.python_version()}"


def stolen_s() -> float:
    """Processor time that the host gave to other guests (steal time), summed over the cores."""
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
