"""Text widgets: energy strips, sparklines, bars and formatted numbers."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite, nan

from rich.text import Text

EIGHTHS = " ▁▂▃▄▅▆▇█"
CALM, ALARM, RETRY, LIMIT = "green", "bold red", "yellow", "red"
SCALE = 9
"""Columns at the left of a strip, for its scale."""


def buckets(values: Sequence[float], width: int) -> list[float]:
    """`values` downsampled to at most `width` numbers: the maximum of each run; NaN where a run has no number.

    Runs differ in length by one at most, so that a full picture only gets denser as values are added.
    """
    columns = min(len(values), max(1, width))
    ends = [len(values) * column // columns for column in range(columns + 1)] if columns else []
    runs = (values[start:end] for start, end in pairwise(ends))
    return [max((v for v in run if isfinite(v)), default=nan) for run in runs]


def spark(values: Sequence[float], width: int, style: str = CALM) -> Text:
    """One line of bars, the lowest value lowest; no bar touches the line above."""
    shown = buckets(values, width)
    low, high = _range(shown)
    return Text("".join(EIGHTHS[1 + round(6 * _part(v, low, high))] if isfinite(v) else " " for v in shown), style)


def strip(
    scores: Sequence[float], thresholds: Sequence[float], retrying: Sequence[bool], width: int, height: int
) -> Text:
    """`height` lines of bars, the threshold as a line across, and at the left the values of the top and the bottom.

    Bars above the threshold are red. Those of a retry are pale, except for the first, which started it: nothing is
    planned then, and the score is constant.
    """
    across = max(1, width - SCALE)
    shown, limits = buckets(scores, across), buckets(thresholds, across)
    tones = [t > 0 for t in buckets([float(r) for r in retrying], across)]
    pale = [before and now for before, now in pairwise([False, *tones])]
    low, high = _range([*shown, *limits])
    ends = {height - 1: f"{high:.3g}", 0: f"{low:.3g}"} if any(map(isfinite, shown)) else {}
    rows = []
    for row in reversed(range(height)):
        line = Text().append(f"{ends.get(row, ''):>{SCALE - 2}}{' ┤' if row in ends else ' │'}", "dim")
        for score, limit, retry in zip(shown, limits, pale, strict=True):
            line.append(*_cell(row, height, _part(score, low, high), _part(limit, low, high), retry))
        rows.append(line)
    return Text("\n").join(rows)


def marks(labels: Sequence[tuple[int, str]], retrying: Sequence[bool], width: int) -> Text:
    """The line below a strip: `▲label` under the value of an event, `~` during a retry.

    `labels` are (index, text) in order. A label that would run into the one before it is left out.
    """
    across, count = max(1, width - SCALE), len(retrying)
    cells = ["~" if tone > 0 else " " for tone in buckets([float(r) for r in retrying], across)]
    cells += [" "] * (across - len(cells))
    free = 0
    for index, label in labels:
        at = index if count <= across else ((index + 1) * across - 1) // count
        words = f"▲{label}"
        if at + len(words) > across:  # at the right edge it is placed before its mark
            words, at = f"{label}▲", min(at, across - 1) - len(label)
        if at >= free:
            cells[at : at + len(words)] = words
            free = at + len(words) + 1
    return Text(" " * SCALE + "".join(cells), RETRY)


def axis(last_s: float, count: int, width: int) -> Text:
    """The times at both ends of a strip of `count` values."""
    across, end = min(count, max(1, width - SCALE)), f"{last_s:.1f} s"
    return Text(" " * SCALE + "0 s " + end.rjust(across - 4), "dim")


def _cell(row: int, height: int, level: float, limit: float, retry: bool) -> tuple[str, str]:
    """The character and style of one cell; `level` and `limit` in 0..1 or NaN."""
    fill = round(8 * (level * height - row)) if isfinite(level) else 0
    if row == 0 and isfinite(level):
        fill = max(fill, 1)  # the lowest score is visible too
    at_limit = isfinite(limit) and row == min(int(limit * height), height - 1)
    if at_limit and not 0 < fill < 8:  # the line continues through a higher bar
        return "─", LIMIT
    if fill > 0:
        return ("░", RETRY) if retry else (EIGHTHS[min(fill, 8)], ALARM if level > limit else CALM)
    return " ", ""


def clip(text: str | Text, width: int, style: str = "") -> Text:
    """One line of at most `width` columns, `…` where it was longer."""
    line = text.copy() if isinstance(text, Text) else Text(text, style)
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def bar(value: float, low: float, high: float, width: int) -> str:
    """A mark on a line from `low` to `high`; `·` line only where there is no value."""
    if not isfinite(value) or high <= low:
        return "·" * width
    at = round(_part(value, low, high) * (width - 1))
    return "─" * at + "●" + "─" * (width - 1 - at)


def share(part: float, width: int) -> str:
    """How much is done, `part` in 0..1."""
    done = round(min(max(part, 0.0), 1.0) * width)
    return "█" * done + "░" * (width - done)


def gauge(part: float, width: int) -> Text:
    """The same as a line, for many below each other."""
    done = round(min(max(part, 0.0), 1.0) * width)
    return Text.assemble(("━" * done, "bold blue"), ("─" * (width - done), "dim"))


def duration(seconds: float) -> str:
    """E.g. `7 s`, `2 min 05 s`, `1 h 10 min`."""
    if not isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float, digits: int = 2) -> str:
    """Fixed digits, `-` where there is no value."""
    return f"{value:.{digits}f}" if isfinite(value) else "-"


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [v for v in values if isfinite(v)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


def _part(value: float, low: float, high: float) -> float:
    """Position of `value` between low and high, 0..1; NaN stays NaN."""
    if not isfinite(value):
        return nan
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
