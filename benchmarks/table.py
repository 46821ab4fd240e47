"""Markdown tables on stdout, in the form used in docs/benchmarks/."""

from collections.abc import Sequence


def line(cells: Sequence[str]) -> str:
    """One table row."""
    return f"| {' | '.join(cells)} |\n"


def head(cells: Sequence[str]) -> str:
    """The header row and its separator, after an empty line."""
    return "\n" + line(cells) + line(["---"] * len(cells))
