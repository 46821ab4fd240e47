"""Many rollouts of one trial, stored line by line, so that an interrupted demo can resume."""

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from ebt_cli.screens import widgets
from ebt_cli.screens.live import Painter
from ebt_data.errors import DataError
from ebt_data.files.atomic_files import DISK_FULL_HINT, write_atomic

if TYPE_CHECKING:
    from ebt_recipes.loop.rollouts import Rollout, Trial

WORKERS = 2
CALIBRATION = "calibration.json"
Line = dict[str, Any]
"""`seed`, `outcome`, `why`, `seconds`, `attempts`, `kinds` of its events, and `times_s` and `scores` of its new plans."""


def tally(file: Path, title: str, trial: "Trial", seeds: Sequence[int], inputs: Sequence[Path]) -> list[Line]:
    """Roll out on every seed that `file` does not hold yet, two at a time; returns all, in the order of the seeds.

    Stored rollouts count only while the trial and the files that it reads, `inputs`, are unchanged. A rollout is
    stored on the disk as soon as it ends.

    Raises:
        DataError: the disk is full; the rollouts stored before remain.
    """
    from ebt_recipes.loop.rollouts import rollouts

    # Without the folder's own name: the demo may be moved, or named from elsewhere.
    header = {"trial": repr(trial).replace(str(file.parent), "."), "inputs": _digest(inputs)}
    known = _kept(file, header)
    missing = [seed for seed in seeds if seed not in known]
    if missing:
        view = TallyView(title, len(seeds), list(known.values()))
        with file.open("ab", buffering=0) as kept, Painter(view):

            def report(rollout: "Rollout") -> None:
                line = _line(rollout)
                known[rollout.seed] = line
                _append(kept, line)
                view.report(line)

            rollouts(trial, missing, WORKERS, report)
    return [known[seed] for seed in seeds]


def successes(found: Sequence[Line]) -> int:
    return sum(line["outcome"] == "success" for line in found)


def load_tally(file: Path) -> tuple[Line, list[Line]]:
    """The header and the rollouts of a tally, in the order in which they ended.

    Raises:
        DataError: it is no tally, or cannot be read.
    """
    try:
        top, *rest = file.read_text(encoding="utf-8", errors="replace").split("\n")
        header = json.loads(top)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no tally of rollouts: {error}", "ebt inspect --help") from error
    if not isinstance(header, dict) or "trial" not in header:
        raise DataError(f"{file} is no tally of rollouts: its first line names no trial", "ebt inspect --help")
    known = {line["seed"]: line for line in map(_parsed, rest) if line}
    return header, list(known.values())


def made_by(file: Path, run: Path) -> bool:
    """True where a tally was made with the weights, contract and (if it used one) calibration that `run` holds now.

    False for a file that is no tally.
    """
    try:
        inputs = load_tally(file)[0].get("inputs")
    except DataError:
        return False
    read = [run / "model.safetensors", run / "run.json"]
    watched = [[*read, run / CALIBRATION]] if (run / CALIBRATION).is_file() else []
    return inputs in {_digest(files) for files in (read, *watched)}


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def _append(kept: IO[bytes], line: Line) -> None:
    try:
        text = (json.dumps(line) + "\n").encode()
        if kept.write(text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(kept.fileno())
    except OSError as error:
        raise DataError(f"cannot write {kept.name}: {error.strerror}", DISK_FULL_HINT) from error


def _kept(file: Path, header: Line) -> dict[int, Line]:
    """The rollouts of this trial in the file, by seed; any other content is dropped."""
    before = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    top, *rest = before.split("\n")
    same = top == json.dumps(header)
    # An earlier run may have been killed while it wrote its last line.
    known = {line["seed"]: line for line in map(_parsed, rest) if line} if same else {}
    now = "\n".join([json.dumps(header), *map(json.dumps, known.values()), ""])
    if now != before:
        write_atomic(file, now)
    return known


def _parsed(text: str) -> Line:
    """A parsed line; empty where the line is incomplete."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"seed", "outcome"} <= found.keys() else {}


def _line(rollout: "Rollout") -> Line:
    return {
        "seed": rollout.seed,
        "outcome": str(rollout.outcome),
        "why": rollout.why,
        "seconds": rollout.seconds,
        "attempts": rollout.attempts,
        "kinds": [kind for _, kind, _ in rollout.events],
        "times_s": [time_s for time_s, _, _ in rollout.plans],
        "scores": [scores[0] if len(scores) == 1 else scores for _, _, scores in rollout.plans],
    }


class TallyView:
    """Counts of finished and successful rollouts, and the outcome of each."""

    def __init__(self, title: str, target: int, stored: Sequence[Line]) -> None:
        self.title = f"ebt demo · {title}"
        self._words = title
        self._target = target
        self._lines = list(stored)
        self._stored = len(stored)
        self._started_s = monotonic()

    def report(self, line: Line) -> None:
        self._lines.append(line)

    def render(self, width: int, height: int) -> RenderableType:
        done = tuple(self._lines)
        head = widgets.clip(self._counts(done), width, "bold")
        row = Text(widgets.share(len(done) / self._target, width), "blue")
        marks = "".join("●" if line["outcome"] == "success" else "○" for line in done).ljust(self._target, "·")
        return Group(head, row, Text(marks), widgets.clip("● success   ○ failure   · to come", width, "dim"))

    def line(self) -> str:
        return f"{self._words}: {self._counts(tuple(self._lines))}" if self._lines else ""

    def _counts(self, done: Sequence[Line]) -> str:
        new = len(done) - self._stored
        left_s = (monotonic() - self._started_s) / new * (self._target - len(done)) if new else float("nan")
        return f"{len(done)}/{self._target} rollouts  {successes(done)} successes  {widgets.duration(left_s)} left"
