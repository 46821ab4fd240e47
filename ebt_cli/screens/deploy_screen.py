"""The deploy screen: the energy over time under its threshold, alarms and retries."""

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ebt_cli.screens import widgets
from ebt_cli.screens.collect_screen import BenchView
from ebt_data.step import Actor, BenchSpec, Outcome

if TYPE_CHECKING:
    from ebt_recipes.loop.recording import Tick

AROUND = 4
"""Lines of the body besides the strip: energy, marks, times, plan."""
TALLEST = 12
"""Of the strip; a higher one shows no more."""
MARKED = {"disturbance": "{text}", "rise": "alarm", "resume": "again", "give_up": "gave up"}
"""Events that are marked under the strip; the others are in the list of events."""


class DeployView(BenchView):
    """The energy of this rollout against its threshold, and the policy's retries."""

    keys = "keys  s it worked  d it failed  r redo  m mark  q stop"
    least = AROUND + 5

    def __init__(self, title: str, spec: BenchSpec, keys: bool, score: str = "energy") -> None:
        """`score` is the name of what is watched."""
        super().__init__(title, spec, keys)
        self._score = score
        self.begin()

    def begin(self) -> None:
        self._scores: list[float] = []
        self._thresholds: list[float] = []
        self._marks: list[tuple[int, str]] = []
        self._latency_s = self._age_s = np.nan
        self._steps = 0
        self._retrying: list[bool] = []

    def watch(self, tick: "Tick") -> None:
        super().watch(tick)
        decision = tick.step.decision
        self._scores.append(decision.score)
        self._thresholds.append(decision.threshold)
        for event in tick.step.events:
            if event.kind in MARKED:
                self._marks.append((len(self._retrying), MARKED[event.kind].format(text=event.text)))
        if decision.steps_used:
            self._latency_s, self._steps = decision.latency_s, decision.steps_used
        self._age_s = decision.plan_age_s
        self._retrying.append(decision.actor is Actor.RETRY)

    def state(self, tick: "Tick") -> tuple[str, str]:
        decision = tick.step.decision
        if self.ended is not None:
            won = self.ended.outcome is Outcome.SUCCESS
            return f"{self.ended.outcome}: {self.ended.why}", "bold green" if won else widgets.ALARM
        if decision.actor is Actor.RETRY:
            return "retrying", f"bold {widgets.RETRY}"
        if decision.score > decision.threshold:
            return f"{self._score} too high", widgets.ALARM
        return ("task done", "bold green") if tick.success else ("following its plan", widgets.CALM)

    def tally(self) -> str:
        return f"{self.successes} of {self.done} succeeded"

    def body(self, tick: "Tick", width: int, height: int) -> RenderableType:
        count = len(self._retrying)  # appended last
        scores, limits, retrying = self._scores[:count], self._thresholds[:count], self._retrying[:count]
        marks = [(index, text) for index, text in tuple(self._marks) if index < count]
        strip = widgets.strip(scores, limits, retrying, width, min(TALLEST, height - AROUND))
        return Group(
            widgets.clip(self._energy(tick), width),
            strip,
            widgets.marks(marks, retrying, width),
            widgets.axis(tick.step.observation.time_s, count, width),
            widgets.clip(self._plan(), width),
        )

    def line(self) -> str:
        tick = self.tick
        return "" if tick is None else f"{super().line()}  {self._energy(tick).plain}"

    def _energy(self, tick: "Tick") -> Text:
        decision = tick.step.decision
        above = decision.score > decision.threshold
        # Of several, the worst is shown against its threshold; without one, the first.
        name = self._score if np.isfinite(decision.threshold) else self._score.split("+")[0]
        limit = f"threshold {widgets.number(decision.threshold)}"
        return Text.assemble(
            (f"{name} ", "bold"),
            (widgets.number(decision.score), widgets.ALARM if above else widgets.CALM),
            f"  {limit if np.isfinite(decision.threshold) else 'no threshold yet: see --calibrate'}",
            f"  attempt {decision.attempt}",
        )

    def _plan(self) -> str:
        return (
            f"descent steps {self._steps}  plan latency {widgets.number(1000 * self._latency_s, 0)} ms"
            f"  plan age {widgets.number(1000 * self._age_s, 0)} ms"
        )
