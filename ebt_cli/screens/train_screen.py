"""The train screen: training and validation loss, wait for data, and time left."""

from collections.abc import Mapping
from math import log
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ebt_cli.screens import widgets
from ebt_data.errors import MisuseError

if TYPE_CHECKING:
    from ebt_recipes.training.train import Progress

FRAME = 5
"""Lines besides the curves: update, column heads, pace and wait, time, the key."""
NUMBERS = 11
"""Columns of each of the two numbers of a curve."""
SLOW_DATA = 0.2  # of the time; more, and a faster disk or fewer pixels would pay
NAMES = {"action_error_rad": "action error, rad", "gradient_norm": "gradient norm"}


class TrainView:
    """Shows the latest `Progress` and the curves so far."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._progress: Progress | None = None
        self._curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
        """Values by group and name, each with how far training was."""
        self._validated: object = None

    def report(self, progress: "Progress") -> None:
        self._add("training", progress.losses, progress.done)
        if progress.validation and progress.validation is not self._validated:
            self._validated = progress.validation
            self._add("validation", progress.validation, progress.done)
        self._progress = progress

    def last(self) -> "Progress":
        """How training ended.

        Raises:
            MisuseError: it made no update: its time or its updates were used up before.
        """
        if self._progress is None:
            raise MisuseError(
                "nothing was trained: its time or its updates are used up", "a longer --time-limit, or more max_steps"
            )
        return self._progress

    def render(self, width: int, height: int) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text("reading episodes ...", "dim")
        return Group(
            self._head(progress, width),
            *self._shown(width, height - FRAME),
            widgets.clip(self._pace(progress), width),
            widgets.clip(self._time(progress), width),
            widgets.clip("Ctrl-C saves and stops; the same command with --resume continues", width, "dim"),
        )

    def line(self) -> str:
        progress = self._progress
        if progress is None:
            return ""
        error = progress.validation.get("action_error_rad")
        held_out = "" if error is None else f"  validation error {error:.4f} rad"
        return (
            f"update {progress.step}  {progress.done:.0%}  loss {progress.losses['loss']:.4g}{held_out}"
            f"  data wait {progress.data_wait:.0%}  left {widgets.duration(progress.eta_s)}"
        )

    def _add(self, group: str, values: Mapping[str, float], done: float) -> None:
        for name, value in values.items():
            self._curves.setdefault((group, name), []).append((done, value))

    def _head(self, progress: "Progress", width: int) -> Text:
        words = f"update {progress.step}  {progress.done:4.0%} "
        left = f" {widgets.duration(progress.eta_s)} left"
        bar = widgets.share(progress.done, max(4, width - len(words) - max(len(left), 17)))
        return widgets.clip(Text.assemble((words, "bold"), (bar, "blue"), left), width)

    def _shown(self, width: int, height: int) -> list[Text]:
        """Loss, validation and its error first; the parts of the losses where there is room for them."""
        curves = dict(self._curves)
        main = [key for key in curves if key[1] in ("loss", "action_error_rad")]
        parts = [key for key in curves if key not in main]
        chosen = {*main, *parts[: max(0, height - len(main))]}
        ordered = [key for group in ("training", "validation") for key in curves if key[0] == group and key in chosen]
        label = 24 if width >= 70 else 20
        head = f"{'':{label}}{'now':>{NUMBERS - 1}}{'lowest':>{NUMBERS}}   since the start (log)"
        rows = [self._row(key, curves[key], label, width) for key in ordered]
        expected = min(height, 2 * sum(group == "training" for group, _ in curves))  # its validation's rows come later
        waits = [widgets.clip(f"{'validation loss':{label}} comes at the first check", width, "dim")]
        blank = [Text() for _ in range(expected - len(rows))]
        return [widgets.clip(head, width, "dim"), *rows, *(waits + blank[1:] if blank else [])]

    def _row(self, key: tuple[str, str], curve: list[tuple[float, float]], label: int, width: int) -> Text:
        group, name = key
        words = f"{group} loss" if name == "loss" else f"  {NAMES.get(name, name)}"
        values = [value for _, value in tuple(curve)]
        numbers = f"{values[-1]:>{NUMBERS - 1}.4g}{min(values):>{NUMBERS}.4g}"
        across = max(4, width - label - 2 * NUMBERS - 2)
        row = Text.assemble((f"{words[:label]:{label}}", "bold" if name == "loss" else ""), numbers, "   ")
        return widgets.clip(row.append(_spread(curve, self.last().done, across)), width)

    def _pace(self, progress: "Progress") -> Text:
        pace = progress.step / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
        slow = progress.data_wait > SLOW_DATA
        return Text.assemble(
            f"{pace:.1f} updates/s, {progress.engine.partition(':')[0]}  ",
            (f"data wait {progress.data_wait:.0%} of the time", "bold yellow" if slow else ""),
            f"{' (slow disk?)' if slow else ''}",
        )

    def _time(self, progress: "Progress") -> str:
        return (
            f"elapsed {widgets.duration(progress.elapsed_s)}  at most {progress.total_steps} updates"
            f"  learning rate {progress.learning_rate:.2g}"
        )


def _spread(curve: list[tuple[float, float]], done: float, width: int) -> Text:
    """A sparkline whose columns are how far training was, `done` the last, so that all curves have one axis."""
    points = tuple(curve)
    positive = all(value > 0 for _, value in points)
    columns: list[float] = []
    for at, value in points:
        until = max(len(columns) + (not columns), round(width * at / (done or 1.0)))
        columns += [log(value) if positive else value] * (until - len(columns))
    return widgets.spark(columns, width)
