"""Small pictures made of characters: energy strips, sparklines, bars; and numbers as people read them."""

from collections.abc import Sequence
from math import isfinite, nan

from rich.text import Text

EIGHTHS = " ▁▂▃▄▅▆▇█"
CALM, ALARM, RETRY, LIMIT = "green", "bold red", "yellow", "red"


def buckets(values: Sequence[float], width: int) -> list[float]:
    """At most `width` numbers that show all of `values`: the highest of each run; NaN where a run has no number."""
    size = max(1, -(-len(values) // max(1, width)))
    runs = (values[start : start + size] for start in range(0, len(values), size))
    return [max((v for v in run if isfinite(v)), default=nan) for run in runs]


def spark(values: Sequence[float], width: int, style: str = CALM) -> Text:
    """One line of bars, the lowest value lowest."""
    shown = buckets(values, width)
    low, high = _range(shown)
    return Text("".join(EIGHTHS[1 + round(7 * _part(v, low, high))] if isfinite(v) else " " for v in shown), style)


def strip(
    scores: Sequence[float], thresholds: Sequence[float], retrying: Sequence[bool], width: int, height: int
) -> Text:
    """`height` lines of bars with the threshold as a line across; bars above it are red, bars of a retry yellow."""
    shown, limits = buckets(scores, width), buckets(thresholds, width)
    tones = [t > 0 for t in buckets([float(r) for r in retrying], width)]
    low, high = _range([*shown, *limits])
    rows = []
    for row in reversed(range(height)):
        line = Text()
        for score, limit, retry in zip(shown, limits, tones, strict=True):
            line.append(*_cell(row, height, _part(score, low, high), _part(limit, low, high), retry))
        rows.append(line)
    return Text("\n").join(rows)


def _cell(row: int, height: int, level: float, limit: float, retry: bool) -> tuple[str, str]:
    """The character and style of one cell; `level` and `limit` in 0..1 or NaN."""
    fill = round(8 * (level * height - row)) if isfinite(level) else 0
    if row == 0 and isfinite(level):
        fill = max(fill, 1)  # the lowest score is a score too
    if fill > 0:
        return EIGHTHS[min(fill, 8)], RETRY if retry else ALARM if level > limit else CALM
    at_limit = isfinite(limit) and row == min(int(limit * height), height - 1)
    return ("─", LIMIT) if at_limit else (" ", "")


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
    """Where `value` lies between low and high, 0..1; NaN stays NaN."""
    if not isfinite(value):
        return nan
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
