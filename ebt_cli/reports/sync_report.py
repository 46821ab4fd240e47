"""What `ebt inspect --sync` reports of the cameras of an episode or a folder: whether their time stamps are correct."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ebt_cli.reports.measure_cache import Hardware, hardware
from ebt_cli.reports.sync import MIN_PICTURES, Lag, Moves, lag, moves
from ebt_cli.terminal.console import short_path
from ebt_cli.terminal.verdict import Grade, Reason, Report, graded
from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode

OFF_S, FAR_OFF_S = 0.02, 0.1
"""Offset of pictures from their time stamps, at the near end of its 95 % interval; our choice: a tick of 50 Hz, two of 20 Hz."""
MAX_EPISODES = 20
"""Episodes of a folder that are measured, evenly spaced over it."""


def report(path: Path, paths: Sequence[Path]) -> Report:
    """`paths` are the episodes under `path`, which is one or a folder; of a folder only its most frequent bench counts.

    Raises:
        DataError: none of them can be read.
    """
    sampled = [
        paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, min(MAX_EPISODES, len(paths))).astype(int))
    ]
    measured: list[tuple[Hardware, dict[str, Moves]]] = []
    damaged: list[DataError] = []
    for each in sampled:
        try:
            with Episode(each) as episode:
                measured.append((hardware(episode.spec), {name: moves(episode, name) for name in episode.spec.cameras}))
        except DataError as error:
            damaged.append(error)
    if not measured:
        raise damaged[0]
    reference = Counter(on for on, _ in measured).most_common(1)[0][0]
    alike = [cameras for on, cameras in measured if on == reference]
    found = {name: lag(cameras[name] for cameras in alike) for name, *_ in reference.cameras}
    checks = [_reason(camera, each) for camera, each in found.items()]
    checks += _left_out(damaged, len(measured) - len(alike))
    facts = {
        "path": str(path),
        "episodes_looked_at": len(alike),
        "cameras": {camera: None if each is None else _facts(each) for camera, each in found.items()},
    }
    rows = [(camera, _row(each)) for camera, each in found.items()]
    return Report(
        "sync",
        f"pictures against joints in {len(alike)} of {short_path(path)}",
        checks if found else [Reason("cameras", Grade.DOUBTFUL, "no camera was recorded"), *checks],
        rows,
        f"ebt inspect {short_path(path)}",
        facts,
    )


def _left_out(damaged: Sequence[DataError], others: int) -> list[Reason]:
    """The episodes of a folder that were left out."""
    checks = []
    if damaged:
        text = f"{len(damaged)} cannot be read: {damaged[0]}"
        checks.append(Reason("unreadable", Grade.DOUBTFUL, text, len(damaged), "0"))
    if others:
        text = f"{others} are of another bench (joints, cameras, rate or SIM): left out"
        checks.append(Reason("mixed_benches", Grade.DOUBTFUL, text, others, "0"))
    return checks


def _reason(camera: str, found: Lag | None) -> Reason:
    limit = f"<= {1000 * OFF_S:.0f} ms"
    if found is None:
        text = f"{camera}: no estimate: fewer than {MIN_PICTURES} pictures, or what moves in them is not the arm"
        return Reason(f"lag_{camera}", Grade.DOUBTFUL, text, None, limit)
    offset_s = max(0.0, found.low_s, -found.high_s)
    older = "older" if found.lag_s > 0 else "younger"
    text = f"{camera}: pictures are {abs(1000 * found.lag_s):.0f} ms {older} than their stamps ({_interval(found)})"
    return Reason(f"lag_{camera}", graded(offset_s, OFF_S, FAR_OFF_S), text, round(1000 * found.lag_s, 1), limit)


def _interval(found: Lag) -> str:
    return f"95 %: {1000 * found.low_s:+.0f} to {1000 * found.high_s:+.0f}"


def _row(found: Lag | None) -> str:
    return "-" if found is None else f"joints explain {found.explained:.0%} of how {found.pictures} pictures change"


def _facts(found: Lag) -> dict[str, float | int]:
    return {
        "lag_ms": round(1000 * found.lag_s, 1),
        "low_ms": round(1000 * found.low_s, 1),
        "high_ms": round(1000 * found.high_s, 1),
        "explained": round(found.explained, 3),
        "pictures": found.pictures,
    }
