"""What a demonstration is judged by, in figures: its timing, its pictures, and what the arm did."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ebt_data.episode import Episode

IDLE_RAD_S = 0.1
"""No joint is told to move faster: nothing is demonstrated, and what is learnt from it is to stand still."""
GRIPPER_RAD = 0.2
"""A gripper whose goal stays within so much does nothing."""


def measure(episode: "Episode") -> dict[str, Any]:
    """What one episode is judged by; figures that it cannot have are None."""
    ticks, skipped = episode.time["tick"], int(episode.time["skipped"].sum())
    rows = len(episode)
    grips = gripper_events(episode)
    return {
        "episode": episode.path.name,
        "kind": episode.meta.kind,
        "task": episode.meta.task,
        "outcome": str(episode.outcome) + ("" if episode.complete else ", cut off"),
        "operator": episode.meta.operator,
        "bench": episode.meta.bench,
        "sim": episode.spec.sim,
        "seed": episode.meta.seed,
        "rows": rows,
        "seconds": round(float(ticks[-1] - ticks[0]), 3) if rows else 0.0,
        "late_ticks": skipped,
        "idle": share(idle(episode)),
        "gripper_events": len(grips),
        "tracking_rad": tracking_rad(episode),
        "start_rad": [round(float(value), 4) for value in episode.qpos[0]] if rows else None,
        "grip_rad": [round(float(value), 4) for value in episode.qpos[grips[0]]] if grips else None,
        "cameras": {name: _camera(episode, name) for name in episode.spec.cameras} if rows else {},
    }


def idle(episode: "Episode") -> NDArray[np.bool_]:
    """[T - 1] ticks in which no joint is told to move."""
    moves = np.abs(np.diff(episode.action, axis=0)) * episode.spec.rate_hz
    return np.asarray((moves < IDLE_RAD_S).all(axis=1))


def tracking_rad(episode: "Episode") -> float | None:
    """95th percentile over ticks and joints, grippers left out: they are stopped by what they hold."""
    arm = [place for place, name in enumerate(episode.spec.joints) if "gripper" not in name]
    if len(episode) < 2 or not arm:
        return None
    return round(float(np.percentile(np.abs(episode.qpos[1:] - episode.action[:-1])[:, arm], 95)), 4)


def gripper_events(episode: "Episode") -> list[int]:
    """Rows in which a gripper's goal passes the middle of its way, by a tenth of it."""
    rows: list[int] = []
    for place, name in enumerate(episode.spec.joints):
        goals = episode.action[:, place]
        if "gripper" not in name or not len(goals) or np.ptp(goals) < GRIPPER_RAD:
            continue
        middle, slack = (goals.max() + goals.min()) / 2, np.ptp(goals) / 10
        sides = np.where(goals > middle + slack, 1, np.where(goals < middle - slack, -1, 0))
        settled = np.flatnonzero(sides)
        turns = settled[1:][np.diff(sides[settled]) != 0]
        rows += [int(row) for row in turns]
    return sorted(rows)


def share(which: NDArray[np.bool_]) -> float | None:
    return round(float(which.mean()), 4) if len(which) else None


def _camera(episode: "Episode", name: str) -> dict[str, Any]:
    from ebt_data.errors import DataError

    times, spec = episode.camera_time(name), episode.spec.cameras[name]
    expected = min(1.0, spec.rate_hz / episode.spec.rate_hz)
    try:
        picture = episode.image(name, len(episode) // 2)
        mean, spread = float(picture.mean()), float(picture.std())
    except DataError:
        mean = spread = float("nan")
    return {
        "repeated": round(max(0.0, float(times["repeated"].mean()) - (1 - expected)), 4),
        "dropped": int(times["dropped"].sum()),
        "age_s": round(float(np.median(np.abs(times["age"]))), 4),
        "brightness": round(mean, 1),
        "spread": round(spread, 1),
    }
