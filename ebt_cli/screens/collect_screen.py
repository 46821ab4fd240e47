"""The collect screen, and what it shares with the deploy screen."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ebt_cli.screens import widgets
from ebt_cli.terminal.console import escape_control
from ebt_data.step import BenchSpec, Outcome

if TYPE_CHECKING:
    from ebt_hardware.config.benches import DynamixelBench, TwinBench
    from ebt_hardware.motors.health import MotorHealth
    from ebt_recipes.loop.recording import EpisodeResult, Tick

FRAME = 5
"""Lines that every bench screen has: the episode, how many are done, the rate, the cameras, the keys."""
EVENTS = 4
"""Of the last events, at least; more on a higher terminal."""
RECENT = 60
"""Ticks that the rate is averaged over: long enough to be steady, short enough to show a stall."""
OLD_FRAMES = 2.0
"""Camera periods; an older image is marked as old."""


@dataclass(frozen=True)
class JointScale:
    """The limits that a joint's numbers are shown against."""

    low: float
    """rad, the end of its range."""
    high: float
    stall: float = 1.0
    """Its effort at stall, in the effort's own unit."""
    warm_c: float = np.inf
    """Motor temperature from which it is shown as warm."""


def scales(table: "TwinBench | DynamixelBench") -> dict[str, JointScale]:
    """By joint, as the bench file and the motors' tables have it."""
    from ebt_hardware.motors.control_table import load_table

    found = [joint for arm in table.followers.values() for joint in arm.joints.values()]
    motors = [load_table(joint.model) for joint in found]
    stalls = [1.0 if motor.current_a is None else motor.stall_current_a for motor in motors]
    return {
        name: JointScale(joint.low, joint.high, stall, table.safety.warm_c)
        for name, joint, stall in zip(table.spec.joints, found, stalls, strict=True)
    }


class BenchView(ABC):
    """What collect and deploy both show: the episode, the rate, the cameras, the last events, the tally."""

    keys = ""
    """What can be pressed, and what it does."""
    least = 1
    """Lines that `body` needs at least."""

    def __init__(self, title: str, spec: BenchSpec, keys: bool) -> None:
        self.title = f"{title} · {spec.name}{' · ' + spec.task if spec.task else ''}{' · SIM' if spec.sim else ''}"
        self.spec = spec
        self.tick: Tick | None = None
        self.skipped = 0
        self.limited = 0
        """Ticks of this episode in which a limit changed the action."""
        self.done = 0
        """Episodes of the target that are through."""
        self.successes = 0
        self.ended: EpisodeResult | None = None
        """The previous episode, while the next scene is reset."""
        self.events: deque[str] = deque(maxlen=20)
        self.health: Mapping[str, MotorHealth] = {}
        """By joint; the bench's own, which it keeps up to date."""
        self._keys = keys
        self._stamps_s: deque[float] = deque(maxlen=RECENT)

    def watch(self, tick: "Tick") -> None:
        """Store the loop's last tick. Called every tick: it makes only a few assignments."""
        if self.tick is None or self.ended or tick.step.observation.time_s < self.tick.step.observation.time_s:
            self.skipped, self.limited, self.done, self.ended = 0, 0, tick.episode - 1, None
            self._stamps_s.clear()
            self.events.clear()
            self.begin()
        self._stamps_s.append(monotonic())
        self.skipped += tick.step.skipped
        self.limited += any(event.kind == "limit" for event in tick.step.events)
        for event in (event for event in tick.step.events if event.kind != "limit"):  # too many to read
            self.events.append(f"{tick.step.observation.time_s:6.2f} s  {event.kind}  {event.text}")
        self.tick = tick

    def report(self, result: "EpisodeResult") -> None:
        """Store how the episode ended."""
        self.done += result.path is not None
        self.successes += result.path is not None and result.outcome is Outcome.SUCCESS
        self.ended = result

    def begin(self) -> None:
        """Start a new episode; a view resets its fields of the previous one here."""
        return

    def render(self, width: int, height: int) -> RenderableType:
        tick = self.tick
        if tick is None:
            return Text("opening the bench ...", "dim")
        events = min(max(EVENTS, height // 5), max(1, height - FRAME - self.least))
        return Group(
            self._episode(tick, width),
            self._progress(tick, width),
            self.body(tick, width, height - FRAME - events),
            widgets.clip(self._rate(tick), width),
            widgets.clip(self._ages(tick), width),
            *self._last_events(events, width),
            widgets.clip(self.footer(width), width, "dim"),
        )

    def footer(self, width: int) -> str:
        """The last line: what can be pressed."""
        if not self._keys:
            return "Ctrl-C stops: the arm parks first"
        if len(self.keys) <= width:
            return self.keys
        return " ".join(what.split()[0] for what in self.keys.split("  ")) + "  (more in --help)"

    @abstractmethod
    def body(self, tick: "Tick", width: int, height: int) -> RenderableType:
        """What this verb shows between the head and the timing: the same number of lines each time, at most `height`."""

    @abstractmethod
    def state(self, tick: "Tick") -> tuple[str, str]:
        """The current state, and its style."""

    @abstractmethod
    def tally(self) -> str:
        """The counts of the episodes so far."""

    def line(self) -> str:
        tick = self.tick
        if tick is None:
            return ""
        return (
            f"episode {tick.episode} of {tick.target}  t {tick.seconds:.1f} of {tick.limit_s:g} s  {self.tally()}"
            f"  {self._rate(tick).plain}  {self._ages(tick).plain}"
        )

    def _episode(self, tick: "Tick", width: int) -> Text:
        seed = "" if tick.seed is None else f"  seed {tick.seed}"
        words, style = self.state(tick)
        head = f"episode {tick.episode} of {tick.target}{seed}  t {tick.seconds:4.1f} of {tick.limit_s:g} s  "
        return widgets.clip(Text.assemble((head, "bold"), (words, style)), width)

    def _progress(self, tick: "Tick", width: int) -> Text:
        words = f" {self.tally()}"
        across = max(8, width - max(len(words), 24))  # steady while the words change
        return widgets.clip(Text.assemble((widgets.share(self.done / tick.target, across), "blue"), words), width)

    def _rate(self, tick: "Tick") -> Text:
        rate_hz = self._rate_hz()
        if self.spec.lockstep:
            rate = f"{widgets.number(rate_hz, 0):>3} Hz, {widgets.number(rate_hz / self.spec.rate_hz, 0)} x real time"
        else:
            rate = f"{widgets.number(rate_hz, 1):>4} of {self.spec.rate_hz:g} Hz"
        return Text.assemble(
            f"rate {rate}  ",
            (f"late ticks {self.skipped}", widgets.RETRY if self.skipped else ""),
            f"  limited {self.limited}",
        )

    def _rate_hz(self) -> float:
        """Of the last ticks; it falls while none comes. NaN before the second."""
        stamps = tuple(self._stamps_s)
        if len(stamps) < 2:
            return float("nan")
        last_s = stamps[-1]
        if self.ended is None and not self.spec.lockstep:
            last_s = max(last_s, monotonic() - 1 / self.spec.rate_hz)
        return (len(stamps) - 1) / max(last_s - stamps[0], 1e-6)

    def _ages(self, tick: "Tick") -> Text:
        ages = Text("camera age")
        for name, frame in tick.step.observation.frames.items():
            old = frame.age_s * self.spec.cameras[name].rate_hz > OLD_FRAMES
            ages.append(
                f"  {escape_control(name)} {abs(1000 * frame.age_s):.0f} ms{' old' if old else ''}", "yellow" * old
            )
        return ages

    def _last_events(self, count: int, width: int) -> list[Text]:
        last = list(self.events)[-count:]
        return [widgets.clip(escape_control(text), width, "cyan") for text in last + [""] * (count - len(last))]


def _no_line() -> None:
    return None


class CollectView(BenchView):
    """Rate, cameras, joints with their load and heat, and which episode of how many."""

    keys = "keys  s save  d drop  r redo  b back  m mark  q stop"

    def __init__(self, title: str, spec: BenchSpec, keys: bool, scales: Mapping[str, JointScale] | None = None) -> None:
        super().__init__(title, spec, keys)
        self.least = 1 + len(spec.joints)
        self._scales = {name: JointScale(-np.pi, np.pi) for name in spec.joints} | dict(scales or {})
        self._chosen: Callable[[], str] = str
        self._line: Callable[[], str | None] = _no_line

    def attend(self, line: Callable[[], str | None]) -> None:
        """An operator demonstrates, who may pause and write notes; `line` is the one being typed."""
        self._line = line
        self.keys = "keys  s save  d drop  r redo  b back  p pause  n note  m mark  q stop"

    def steer(self, chosen: Callable[[], str]) -> None:
        """The keyboard moves the joint that `chosen` names."""
        self._chosen = chosen
        self.keys = "1-6↑↓ joint  s save  d drop  r redo  b back  p pause  n note  m mark  q stop"

    def footer(self, width: int) -> str:
        line, hint = self._line(), "▏  Enter saves it, Esc cancels it"
        if line is None:
            return super().footer(width)
        return f"note  {line[-max(1, width - len(hint) - 6) :]}{hint}"  # the end of the line, where the cursor is

    def state(self, tick: "Tick") -> tuple[str, str]:
        if self.ended is not None:
            return ("saved", "bold green") if self.ended.path else (f"not kept: {self.ended.why}", "bold yellow")
        if tick.paused:
            return "paused, p resumes", "bold yellow"
        return ("task done", "bold green") if tick.success else ("● recording", "bold red")

    def tally(self) -> str:
        return f"{self.done} kept"

    def body(self, tick: "Tick", width: int, height: int) -> RenderableType:
        sensors = tick.step.observation
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        for name, justify in (("joint", "left"), ("position", "left"), ("rad", "right"), ("rad/s", "right"),
                              ("load", "left"), ("% stall", "right"), ("°C", "right")):  # fmt: skip
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        longest = min(16, 2 + max(map(len, self.spec.joints)))
        across = max(4, width - longest - 27)  # for both pictures; the rest are numbers and gaps
        health, chosen = dict(self.health), self._chosen()
        for name, position, velocity, effort in zip(
            self.spec.joints, sensors.position, sensors.velocity, sensors.effort, strict=True
        ):
            scale, motor = self._scales[name], health.get(name)
            load = float(effort) / scale.stall
            heat_c = motor.temperature_c if motor else np.nan
            table.add_row(
                widgets.clip(f"{'▶ ' if name == chosen else ''}{escape_control(name)}", longest),
                widgets.bar(float(position), scale.low, scale.high, across * 2 // 3),
                f"{position:+.2f}",
                f"{velocity:+.2f}",
                widgets.gauge(abs(load), across - across * 2 // 3),
                f"{100 * load:+.0f}",
                Text(widgets.number(heat_c, 0), "bold yellow" if heat_c >= scale.warm_c else ""),
            )
        return table
