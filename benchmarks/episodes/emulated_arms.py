"""Arms emulated in this process behind ptys, which log the goals sent to them in each episode.

A tick reads the leaders, then sends the followers a goal; the bench's own motions, home and hold, read no leader. So
the goals of an episode are those from the first to the last that followed a read of a leader."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from math import sin
from pathlib import Path
from time import monotonic
from typing import Self

from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from ebt_hardware.motors.calibration import Calibration, JointCalibration, save_calibration
from ebt_hardware.motors.packets import Instruction

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
IDS = range(1, len(JOINTS) + 1)
FOLLOWING, LEADING = "XL330-M288", "XL330-M077"
LIMIT_RAD = 1.5
RATE_HZ = 50.0
SAFETY = """
[safety] # on a busy machine the thread of these arms is late, and the supervisor is not tested here
stale_ticks = 25
tracking_s = 5.0
watchdog_s = 2.5
"""


class SineShaft:
    """A leader's shaft that moves on a sine, so that goals differ between ticks and joints."""

    def __init__(self, phase_rad: float) -> None:
        self._phase_rad = phase_rad

    def position(self) -> float:
        return 0.4 * sin(1.3 * monotonic() + self._phase_rad)

    def velocity(self) -> float:
        return 0.0

    def effort(self) -> float:
        return 0.0

    def drive(self, goal_rad: float | None, effort_limit: float) -> None:
        return None


class LeaderEmulator(Emulator):
    """A leader arm that calls back when its position is read."""

    def __init__(self, on_read: Callable[[], None]) -> None:
        super().__init__([EmulatedMotor(LEADING, number, SineShaft(0.5 * number)) for number in IDS], clock=monotonic)
        self._on_read = on_read

    def handle(self, request: bytes) -> bytes:
        before = self.requests[Instruction.SYNC_READ]
        reply = super().handle(request)
        if self.requests[Instruction.SYNC_READ] > before:
            self._on_read()
        return reply


class EmulatedArms:
    """Pairs of leader and follower, named after the followers, served by a thread while the `with` lasts."""

    def __init__(self, folder: Path, episodes: Path, pairs: Sequence[str], cameras: str) -> None:
        """Bench file and calibrations go to `folder`; `cameras` are the bench file's lines about them."""
        self._episodes = episodes
        self.leader_reads = 0
        """Number of reads of a leader within an episode."""
        self.followers = {
            name: Emulator([EmulatedMotor(FOLLOWING, number, FreeShaft()) for number in IDS], clock=monotonic)
            for name in pairs
        }
        self._leaders = {name: LeaderEmulator(partial(self._record_leader_read, name)) for name in pairs}
        self._spans: dict[str, dict[str, tuple[int, int]]] = {}
        # Leaders first: where both have pending bytes, the leader was read before its follower was sent a goal.
        self._ports = {f"{name}_leader": PtyPort(arm) for name, arm in self._leaders.items()}
        self._ports |= {name: PtyPort(arm) for name, arm in self.followers.items()}
        self.bench = self._bench_file(folder, cameras)
        """The bench file."""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=serve_pty, args=(list(self._ports.values()), self._stop, self._update), name="arms"
        )

    def sent_goals(self) -> dict[str, dict[str, list[list[int]]]]:
        """Goals [T][J] in motor ticks by follower, by the name of the episode in which they were sent."""
        goals: dict[str, dict[str, list[list[int]]]] = {}
        for episode, spans in list(self._spans.items()):
            logs = {name: list(self.followers[name].log)[first : last + 1] for name, (first, last) in spans.items()}
            goals[episode] = {
                name: [[write.goals.get(each, -1) for each in IDS] for write in log] for name, log in logs.items()
            }
        return goals

    def ticks(self) -> int:
        """Number of goals of the newest episode so far, the largest of all arms."""
        spans = self._spans[max(self._spans)] if self._spans else {}
        return max(
            (min(last + 1, len(self.followers[name].log)) - first for name, (first, last) in spans.items()), default=0
        )

    def part(self) -> Path | None:
        """The file of the current episode."""
        return max(self._episodes.glob("*.part"), default=None)

    def _record_leader_read(self, follower: str) -> None:
        part = self.part()
        if part is None:
            return
        self.leader_reads += 1
        place = len(self.followers[follower].log)
        span = self._spans.setdefault(part.stem, {})
        span[follower] = (span.get(follower, (place, place))[0], place)

    def _update(self, dt_s: float) -> None:
        for arm in (*self.followers.values(), *self._leaders.values()):
            arm.update(dt_s)

    def _bench_file(self, folder: Path, cameras: str) -> Path:
        lines = ['kind = "dynamixel"', f"rate_hz = {RATE_HZ}", 'task = "swing"', SAFETY, cameras]
        for name, port in self._ports.items():
            leads = name.removesuffix("_leader")
            kind, model = ("followers", FOLLOWING) if leads == name else ("leaders", LEADING)
            motors = {
                joint: JointCalibration(id=number, model=model, low=-LIMIT_RAD, high=LIMIT_RAD)
                for number, joint in zip(IDS, JOINTS, strict=True)
            }
            save_calibration(Calibration(motors), folder / "swing.calibration", name)
            lines += [f"[{kind}.{name}]", f'port = "{port.path}"']
            lines += [] if leads == name else [f'leads = "{leads}"']
            lines += [f"[{kind}.{name}.joints]"]
            lines += [
                f'{joint} = {{ id = {motor.id}, model = "{model}", low = -{LIMIT_RAD}, high = {LIMIT_RAD} }}'
                for joint, motor in motors.items()
            ]
        path = folder / "swing.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for port in self._ports.values():
            port.close()
