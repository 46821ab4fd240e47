"""Output: results on stdout, messages on stderr; text from elsewhere is escaped.

Rich honours NO_COLOR, FORCE_COLOR, COLUMNS and TERM=dumb.
"""

import io
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebt_data.errors import EbtError

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
"""Exit code after a safe stop: 128 + SIGINT, as shells have it."""


class Stopped(EbtError):
    """Interrupted, in a verb whose message contains how to continue."""

    exit_code = INTERRUPTED


class _DetachableStderr(io.TextIOWrapper):
    """stderr that ignores a closed terminal, which must not end the program that runs in it."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def survive_closed_terminal() -> None:
    """Discard messages where stderr is closed, and replace characters that the terminal cannot encode."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        raw = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = _DetachableStderr(raw, encoding=sys.stderr.encoding, errors="replace", write_through=True)


def stderr_console() -> "Console":
    """A console on stderr: progress, notes and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def notify(text: str, style: str = "") -> None:
    """Print one line on stderr, never wrapped; nothing for an empty text."""
    if text:
        stderr_console().print(escape_control(text), style=style or None, soft_wrap=True)


def bell() -> None:
    """Ring: operators look at arms, not at screens."""
    if sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()


def escape_control(text: str) -> str:
    r"""`text` without characters that move the cursor, change a colour or start a line: they become \xNN or \n."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def short_path(path: Path | None) -> str:
    """A path as one would type it here: relative where it lies in this folder."""
    if path is None:
        return "-"
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def table_path(path: Path | None) -> str:
    """A path in a result table: its name on a terminal, where the folder is printed too; the whole path for a program."""
    return path.name if path is not None and sys.stdout.isatty() else short_path(path)


def result_json(schema: str, content: dict[str, Any]) -> None:
    """One JSON object on stdout; NaN becomes null, which every reader of JSON takes."""
    sys.stdout.write(json.dumps({"schema": f"ebt.{schema}/1"} | _without_nan(content), default=str) + "\n")
    sys.stdout.flush()


def result_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout: ruled on a terminal, tab-separated with a header line otherwise."""
    cells = [[escape_control(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        sys.stdout.writelines("\t".join(row) + "\n" for row in [list(columns), *cells])
        sys.stdout.flush()
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
