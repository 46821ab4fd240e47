"""Live screens: the loop updates a view, and another thread paints it at a low rate.

The loop only ever assigns to the view's fields; it never waits for the terminal. Without a terminal the same view is
printed as a plain line from time to time.
"""

from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from rich.console import RenderableType
from rich.live import Live
from rich.panel import Panel

from ebt_cli.screens import widgets
from ebt_cli.terminal.console import bell, escape_control, stderr_console
from ebt_data.errors import EbtError

PAINT_EVERY_S = 0.25  # painting takes a few ms of the interpreter, which the loop shares
LINE_EVERY_S = 15.0
WIDEST = 120  # columns; wider lines are hard to read


class View(Protocol):
    """A live view: updated by the loop's thread, read by the painter's."""

    title: str

    def render(self, width: int, height: int) -> RenderableType:
        """At most `height` lines of `width` columns, always the same number, so that the screen is steady."""
        ...

    def line(self) -> str:
        """The same in one line; empty while there is nothing to show."""
        ...


class Painter:
    """Paints a view on stderr while inside `with`."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._console = stderr_console()
        self._shows = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = self._fresh()
        self._size = self._console.size
        self._stop = Event()
        self._last_line = ""
        self._thread = Thread(target=self._run, name="painter", daemon=True)

    def note(self, text: str, style: str = "") -> None:
        """A line that stays, above the screen."""
        line = widgets.clip(escape_control(text), self._console.width) if self._shows else escape_control(text)
        self._console.print(line, style=style or None, soft_wrap=not self._shows)

    def __enter__(self) -> Self:
        if self._shows:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._shows:
            self._paint()
            self._live.stop()
        if isinstance(error, EbtError):
            bell()  # a fault: the operator must look at the screen

    def _run(self) -> None:
        while not self._stop.wait(PAINT_EVERY_S if self._shows else LINE_EVERY_S):
            if self._shows:
                self._paint()
            else:
                self._print_line()

    def _paint(self) -> None:
        if self._console.size != self._size:
            # The terminal has wrapped the old text, so it cannot be overpainted: start on a clean screen.
            self._size = self._console.size
            self._live.stop()
            self._console.clear()
            self._live = self._fresh()
            self._live.start()
        width, height = min(self._size.width, WIDEST), self._size.height - 1
        body = self._view.render(width - 4, height - 2)
        title = widgets.clip(escape_control(self._view.title), width - 6)
        self._live.update(Panel(body, title=title, title_align="left", width=width), refresh=True)

    def _fresh(self) -> Live:
        return Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def _print_line(self) -> None:
        line = self._view.line()
        if line and line != self._last_line:
            self._last_line = line
            self.note(line)
