"""Many rollouts of one trial, kept line by line, so that a demo that was cut off goes on where it was."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from ebt_cli import widgets
from ebt_cli.live import Painter, lines

if TYPE_CHECKING:
    from ebt_recipes.rollouts import Rollout, Trial

WORKERS = 2
Line = dict[str, Any]
"""`seed`, `outcome`, `why`, `seconds`, `attempts`, `kinds` of its events, and `times_s` and `scores` of its new plans."""


def tally(file: Path, title: str, trial: "Trial", seeds: Sequence[int], weights: Path) -> list[Line]:
    """Roll out on every seed that `file` does not hold yet, two at a time; returns all, in the order of the seeds.

    What was kept counts only while the trial and the `weights` file are still the same.
    """
    from ebt_recipes.rollouts import rollouts

    header = {"trial": repr(trial), "weights": hashlib.sha256(weights.read_bytes()).hexdigest()}
    known = _kept(file, header)
    missing = [seed for seed in seeds if seed not in known]
    if missing:
        view = TallyView(title, len(seeds), list(known.values()))
        with file.open("a", encoding="utf-8") as kept, Painter(view):

            def report(rollout: "Rollout") -> None:
                line = _line(rollout)
                known[rollout.seed] = line
                kept.write(json.dumps(line) + "\n")
                kept.flush()
                view.report(line)

            rollouts(trial, missing, WORKERS, report)
    return [known[seed] for seed in seeds]


def successes(found: Sequence[Line]) -> int:
    return sum(line["outcome"] == "success" for line in found)


def _kept(file: Path, header: Line) -> dict[int, Line]:
    """What the file holds of this very trial, by seed; anything else in it is dropped."""
    top, *rest = file.read_text(encoding="utf-8").split("\n") if file.is_file() else [""]
    # The last line of a run that was killed may be cut short; it lacks its newline then.
    whole = rest[:-1] if top == json.dumps(header) else []
    file.write_text("\n".join([json.dumps(header), *whole, ""]), encoding="utf-8")
    return {line["seed"]: line for line in map(json.loads, whole)}


def _line(rollout: "Rollout") -> Line:
    return {
        "seed": rollout.seed,
        "outcome": str(rollout.outcome),
        "why": rollout.why,
        "seconds": rollout.seconds,
        "attempts": rollout.attempts,
        "kinds": [kind for _, kind, _ in rollout.events],
        "times_s": [time_s for time_s, _, _ in rollout.plans],
        "scores": [score for _, _, score in rollout.plans],
    }


class TallyView:
    """How many are done, how many of them succeeded, and how each went."""

    def __init__(self, title: str, target: int, had: Sequence[Line]) -> None:
        self.title = f"ebt demo · {title}"
        self._words = title
        self._target = target
        self._lines = list(had)
        self._had = len(had)
        self._began_s = monotonic()

    def report(self, line: Line) -> None:
        self._lines.append(line)

    def render(self, width: int) -> RenderableType:
        done = tuple(self._lines)
        head = Text(self._counts(done), "bold")
        row = Text(widgets.share(len(done) / self._target, width), "blue")
        marks = Text("".join("●" if line["outcome"] == "success" else "○" for line in done))
        return lines(head, row, marks, Text("● success   ○ failure", "dim"))

    def line(self) -> str:
        return f"{self._words}: {self._counts(tuple(self._lines))}" if self._lines else ""

    def _counts(self, done: Sequence[Line]) -> str:
        new = len(done) - self._had
        left_s = (monotonic() - self._began_s) / new * (self._target - len(done)) if new else float("nan")
        return f"{len(done)}/{self._target} rollouts  {successes(done)} successes  {widgets.duration(left_s)} left"
