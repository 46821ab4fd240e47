"""Tables on stdout as docs/benchmarks.md holds them."""

from collections.abc import Sequence


def line(cells: Sequence[str]) -> str:
    """One row."""
    return f"| {' | '.join(cells)} |\n"


def head(cells: Sequence[str]) -> str:
    """The first row and the rule under it, after an empty line."""
    return "\n" + line(cells) + line(["---"] * len(cells))
