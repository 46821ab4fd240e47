"""Are the stamps true: what `ebt inspect --sync` says of the cameras of an episode, or of a folder of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ebt_cli.console import near
from ebt_cli.sync import FEWEST, Lag, Moves, lag, moves
from ebt_cli.verdict import Grade, Reason, Report, graded
from ebt_data.episode import Episode

OFF_S, FAR_OFF_S = 0.02, 0.1
"""By which the pictures are surely older, or younger, than their stamps say; our choice: a tick of 50 Hz, two of 20 Hz."""
MOST = 20
"""Episodes of a folder that are looked at, evenly over it."""


def report(path: Path, paths: Sequence[Path]) -> Report:
    """`paths` are the episodes under `path`, which is one or a folder.

    Raises:
        DataError: one of them cannot be read.
    """
    some = [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, min(MOST, len(paths))).astype(int))]
    parts: dict[str, list[Moves]] = {}
    for each in some:
        with Episode(each) as episode:
            for camera in episode.spec.cameras:
                parts.setdefault(camera, []).append(moves(episode, camera))
    found = {camera: lag(each) for camera, each in parts.items()}
    told = [_reason(camera, each) for camera, each in found.items()]
    facts = {
        "path": str(path),
        "episodes_looked_at": len(some),
        "cameras": {camera: None if each is None else _facts(each) for camera, each in found.items()},
    }
    rows = [(camera, _row(each)) for camera, each in found.items()]
    return Report(
        "sync",
        f"pictures against joints in {len(some)} of {near(path)}",
        told or [Reason("cameras", Grade.DOUBTFUL, "no camera was recorded")],
        rows,
        f"ebt inspect {near(path)}",
        facts,
    )


def _reason(camera: str, found: Lag | None) -> Reason:
    limit = f"<= {1000 * OFF_S:.0f} ms"
    if found is None:
        text = f"{camera}: nothing to go by: fewer than {FEWEST} pictures, or what moves in them is not the arm"
        return Reason(f"lag_{camera}", Grade.DOUBTFUL, text, None, limit)
    surely_s = max(0.0, found.low_s, -found.high_s)
    older = "older" if found.lag_s > 0 else "younger"
    text = f"{camera}: pictures are {abs(1000 * found.lag_s):.0f} ms {older} than they say ({_interval(found)})"
    return Reason(f"lag_{camera}", graded(surely_s, OFF_S, FAR_OFF_S), text, round(1000 * found.lag_s, 1), limit)


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
