"""What is seen while a policy trains: loss and validation over time, the wait for data, and how long it still takes."""

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ebt_cli import widgets
from ebt_cli.live import lines
from ebt_data.errors import DataError

if TYPE_CHECKING:
    from ebt_recipes.train import Progress

LABEL = 24  # columns before the curves
SLOW_DATA = 0.2  # of the time; more, and a faster disk or fewer pixels would pay


class TrainView:
    """Fed with `Progress` now and then."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._progress: Progress | None = None
        self._losses: dict[str, list[float]] = {}
        self._validations: dict[str, list[float]] = {}
        self._validated: object = None

    def report(self, progress: "Progress") -> None:
        for name, value in progress.losses.items():
            self._losses.setdefault(name, []).append(value)
        if progress.validation and progress.validation is not self._validated:
            self._validated = progress.validation
            for name, value in progress.validation.items():
                self._validations.setdefault(name, []).append(value)
        self._progress = progress

    def last(self) -> "Progress":
        """How training ended.

        Raises:
            DataError: it ended before its first report.
        """
        if self._progress is None:
            raise DataError("training ended before its first report: its time was up at once", "a longer --time-limit")
        return self._progress

    def render(self, width: int) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text("reading episodes ...", "dim")
        return lines(
            self._head(progress, width),
            self._curves("training", dict(self._losses), width),
            self._curves("validation", dict(self._validations), width),
            self._foot(progress),
            Text("Ctrl-C saves; `ebt train ... --resume` goes on from there", "dim"),
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

    def _head(self, progress: "Progress", width: int) -> Text:
        words = f"update {progress.step}/{progress.total_steps}  {progress.done:4.0%} "
        left = f" {widgets.duration(progress.eta_s)} left"
        bar = widgets.share(progress.done, max(4, width - len(words) - len(left)))
        return Text.assemble((words, "bold"), (bar, "blue"), left)

    def _curves(self, title: str, curves: dict[str, list[float]], width: int) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, values in curves.items():
            label = f"{title} {name}" if name == "loss" else f"  {name}"
            table.add_row(label[:LABEL].ljust(LABEL), f"{values[-1]:8.4g}", widgets.spark(values, width - LABEL - 12))
        return table if curves else Text("")

    def _foot(self, progress: "Progress") -> Text:
        pace = progress.step / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
        return Text.assemble(
            f"{pace:.1f} updates/s  learning rate {progress.learning_rate:.2g}  ",
            (f"data wait {progress.data_wait:.0%}", "yellow" if progress.data_wait > SLOW_DATA else ""),
            f"  elapsed {widgets.duration(progress.elapsed_s)}",
        )
