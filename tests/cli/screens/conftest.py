"""What a terminal shows of a view."""

import io
from collections.abc import Callable

from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel

from ebt_cli.screens.live import View
from ebt_recipes.loop.recording import Tick

Ticks = Callable[[int], list[Tick]]
SIZES = [(80, 24), (120, 40), (60, 20)]


def screen(view: View, size: tuple[int, int] = (80, 24), color: bool = False) -> list[str]:
    """What a terminal of so many columns and rows shows of a view, which leaves it one row for the cursor."""
    width, height = size
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor" if color else None
    )
    with console.capture() as capture:
        console.print(Panel(view.render(width - 4, height - 3), width=width))
    return capture.get().splitlines()


def fits(rows: list[str], size: tuple[int, int]) -> bool:
    """No line is wider than the terminal, and there are fewer lines than it has rows."""
    return len(rows) < size[1] and {cell_len(row) for row in rows} == {size[0]}
