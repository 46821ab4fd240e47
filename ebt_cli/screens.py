"""What is seen while the bench moves: the collect screen and the deploy screen, both at most 20 lines high."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ebt_cli import widgets
from ebt_cli.console import plain
from ebt_cli.live import lines
from ebt_data.step import Actor, BenchSpec

if TYPE_CHECKING:
    from ebt_hardware.health import MotorHealth
    from ebt_recipes.recording import EpisodeResult, Tick

KEYS = "keys   s save   d discard   r redo   q stop"
EVENTS = 4


class BenchView(ABC):
    """What collect and deploy both show: the episode, the rate, the cameras, the last events, the tally."""

    def __init__(self, title: str, spec: BenchSpec, keys: bool) -> None:
        self.title = f"{title} · {spec.name}{' · ' + spec.task if spec.task else ''}{' · SIM' if spec.sim else ''}"
        self.spec = spec
        self.tick: Tick | None = None
        self.skipped = 0
        self.limited = 0
        """Ticks of this episode in which less was sent than was asked for."""
        self.kept = 0
        self.successes = 0
        self.events: deque[str] = deque(maxlen=EVENTS)
        self.health: Mapping[str, MotorHealth] = {}
        """By joint; the bench's own, which it keeps up to date."""
        self._keys = keys
        self._began_s = monotonic()
        self._rows = 0

    def watch(self, tick: "Tick") -> None:
        """Take what the loop has just done. Called every tick: keep it to a few assignments."""
        if self.tick is None or tick.step.observation.time_s < self.tick.step.observation.time_s:
            self._began_s, self._rows, self.skipped, self.limited = monotonic(), 0, 0, 0
            self.begin()
        self._rows += 1
        self.skipped += tick.step.skipped
        self.limited += any(event.kind == "limit" for event in tick.step.events)
        for event in (event for event in tick.step.events if event.kind != "limit"):  # too many to read
            self.events.append(f"{tick.step.observation.time_s:6.2f} s  {event.kind}  {event.text}")
        self.tick = tick

    def report(self, result: "EpisodeResult") -> None:
        self.kept += result.path is not None
        self.successes += result.path is not None and result.outcome == "success"

    def begin(self) -> None:
        """A new episode; a view that keeps something of the old one forgets it here."""
        return

    def render(self, width: int) -> RenderableType:
        tick = self.tick
        if tick is None:
            return Text("opening the bench ...", "dim")
        return lines(
            self._episode(tick, width),
            self.body(tick, width),
            Text(self._timing(tick)),
            Text("\n".join(plain(text)[:width] for text in tuple(self.events)), "cyan"),
            Text(KEYS if self._keys else "Ctrl-C stops: the arm parks first", "dim"),
        )

    @abstractmethod
    def body(self, tick: "Tick", width: int) -> RenderableType:
        """What this verb shows between the head and the timing."""

    def line(self) -> str:
        tick = self.tick
        if tick is None:
            return ""
        return f"episode {tick.episode}/{tick.target}  t {tick.step.observation.time_s:.1f} s  {self._timing(tick)}".replace(
            "\n", "  "
        )

    def _episode(self, tick: "Tick", width: int) -> RenderableType:
        words = f"episode {tick.episode}/{tick.target}  kept {self.kept}  successes {self.successes}"
        seed = "" if tick.seed is None else f"  seed {tick.seed}"
        head = Text(f"{words}{seed}  t {tick.step.observation.time_s:5.1f} s", "bold")
        head.append("  task done" if tick.success else "", "bold green")
        return lines(head, Text(widgets.share((tick.episode - 1) / tick.target, width), "blue"))

    def _timing(self, tick: "Tick") -> str:
        wall_s = max(monotonic() - self._began_s, 1e-3)
        sensors = tick.step.observation
        rate = f"rate {self._rows / wall_s:5.1f} Hz"
        if self.spec.lockstep:
            rate += f" (lock-step, {sensors.time_s / wall_s:.1f} x real time)"
        else:
            rate += f" of {self.spec.rate_hz:g}"
        ages = "  ".join(f"{name} {abs(1000 * frame.age_s):.0f} ms" for name, frame in sensors.frames.items())
        return f"{rate}  late ticks {self.skipped}  limited {self.limited}\nframe ages  {ages}"


class CollectView(BenchView):
    """Rate, cameras, joints and their load, and which episode of how many."""

    def body(self, tick: "Tick", width: int) -> RenderableType:
        sensors = tick.step.observation
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        for name in ("joint", "position", "rad", "rad/s", "load", "", "°C"):
            table.add_column(name, justify="right" if name in ("rad", "rad/s", "", "°C") else "left", no_wrap=True)
        across = max(8, (width - 46) // 2)
        health = dict(self.health)
        for name, position, velocity, effort in zip(
            self.spec.joints, sensors.position, sensors.velocity, sensors.effort, strict=True
        ):
            table.add_row(
                plain(name)[:16],
                widgets.bar(float(position), -np.pi, np.pi, across),
                f"{position:+.2f}",
                f"{velocity:+.2f}",
                widgets.share(abs(float(effort)), across // 2),
                f"{effort:+.2f}",
                f"{health[name].temperature_c:.0f}" if name in health else "",
            )
        return table


class DeployView(BenchView):
    """The energy of this rollout against its threshold, and what the policy does about it."""

    def __init__(self, title: str, spec: BenchSpec, keys: bool) -> None:
        super().__init__(title, spec, keys)
        self.begin()

    def begin(self) -> None:
        self._scores: list[float] = []
        self._thresholds: list[float] = []
        self._retrying: list[bool] = []
        self._latency_s = self._age_s = np.nan
        self._steps = 0

    def watch(self, tick: "Tick") -> None:
        super().watch(tick)
        decision = tick.step.decision
        self._scores.append(decision.score)
        self._thresholds.append(decision.threshold)
        self._retrying.append(decision.actor is Actor.RETRY)
        if decision.steps_used:
            self._latency_s, self._steps = decision.latency_s, decision.steps_used
        self._age_s = decision.plan_age_s

    def body(self, tick: "Tick", width: int) -> RenderableType:
        count = len(self._retrying)  # appended last
        scores, limits = self._scores[:count], self._thresholds[:count]
        decision = tick.step.decision
        above = decision.score > decision.threshold
        state = "retrying" if decision.actor is Actor.RETRY else "above its threshold" if above else "following"
        head = Text.assemble(
            ("energy ", "bold"),
            (f"{widgets.number(decision.score)}", widgets.ALARM if above else widgets.CALM),
            f"  threshold {widgets.number(decision.threshold)}",
            f"  attempt {decision.attempt}  ",
            (state, widgets.RETRY if decision.actor is Actor.RETRY else widgets.ALARM if above else widgets.CALM),
        )
        foot = (
            f"descent steps {self._steps}  plan latency {widgets.number(1000 * self._latency_s, 0)} ms"
            f"  plan age {widgets.number(1000 * self._age_s, 0)} ms"
        )
        return lines(head, widgets.strip(scores, limits, self._retrying[:count], width, 7), Text(foot))

    def line(self) -> str:
        tick = self.tick
        if tick is None:
            return ""
        decision = tick.step.decision
        energy = f"energy {widgets.number(decision.score)} of {widgets.number(decision.threshold)}"
        return f"{super().line()}  {energy}  attempt {decision.attempt}"
