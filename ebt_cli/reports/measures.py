"""Measures of a demonstration: timing, images, and motion of the arm.

Shapes: T rows, J joints. Only rows used for training count.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict  # pydantic, which brings it, takes no other before Python 3.12

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode

Values = NDArray[np.float32]
IDLE_RAD_S = 0.1
"""A tick is idle when every joint is slower; a policy trained on idle ticks learns to stand still."""
GRIPPER_RAD = 0.2
"""A gripper whose goal varies by less is counted as unused."""
HELD_BACK_RAD = 0.01
"""Sent less requested, above which a limit of the bench changed an action."""
SAMPLED_IMAGES = 5
"""Images of each camera that are decoded, evenly spaced over the episode."""


class EpisodeInfo(TypedDict):
    """Identification of an episode, and its outcome by the latest label."""

    episode: str
    kind: str
    task: str
    outcome: str
    tags: list[str]
    notes: list[str]
    """Typed while it was recorded, then those that were added since."""
    bench: str
    sim: bool
    seed: int | None


class CameraMeasures(TypedDict):
    """Measures of one camera."""

    repeated: float
    dropped: int
    age_s: float
    brightness: float
    spread: float


class Measures(EpisodeInfo):
    """Measures of a demonstration; None where one does not apply."""

    operator: str
    rows: int
    first_s: float
    seconds: float
    """Without pauses."""
    paused_s: float
    late_ticks: int
    jitter_ms: float | None
    idle: float | None
    idle_head_s: float
    idle_tail_s: float
    jerk_rad_s3: float | None
    held_back: float | None
    gripper_events: int
    tracking_rad: float | None
    start_rad: list[float] | None
    grip_rad: list[float] | None
    cameras: dict[str, CameraMeasures]


def measure(episode: "Episode") -> Measures:
    """Measure one demonstration."""
    kept = episode.training_rows
    ticks, action, qpos = episode.time["tick"][kept], episode.action[kept], episode.qpos[kept]
    joints, rate_hz = episode.spec.joints, episode.spec.rate_hz
    arm = np.array(["gripper" not in name for name in joints])
    rows = len(ticks)
    pauses = np.flatnonzero(np.isin(kept, episode.pauses) & (np.arange(rows) > 0))
    paused_s = float((ticks[pauses] - ticks[pauses - 1]).sum())
    grips = gripper_events(action[:, ~arm])
    still = idle(action, rate_hz)
    requested = episode.action_asked[kept]
    return Measures(
        **episode_info(episode),
        operator=episode.meta.operator,
        rows=rows,
        first_s=round(float(ticks[0]), 3) if rows else 0.0,
        seconds=round(float(ticks[-1] - ticks[0]) - paused_s, 3) if rows else 0.0,
        paused_s=round(paused_s, 3),
        late_ticks=int(episode.time["skipped"][kept].sum()),
        jitter_ms=jitter_ms(ticks, episode.time["skipped"][kept], pauses, rate_hz),
        idle=share(still),
        idle_head_s=leading_s(still, ticks),
        idle_tail_s=leading_s(still[::-1], ticks[::-1]),
        jerk_rad_s3=jerk(action[:, arm], rate_hz),
        held_back=share((np.abs(action - requested)[:, arm] > HELD_BACK_RAD).any(axis=1)) if arm.any() else None,
        gripper_events=len(grips),
        tracking_rad=tracking_rad(qpos[:, arm], action[:, arm]),
        start_rad=[round(float(value), 4) for value in qpos[0]] if rows else None,
        grip_rad=[round(float(value), 4) for value in qpos[grips[0]]] if grips else None,
        cameras={name: _camera(episode, name) for name in episode.spec.cameras} if rows else {},
    )


def episode_info(episode: "Episode") -> EpisodeInfo:
    """Measures that every episode has."""
    labels = episode.labels
    cut = not episode.complete and labels.outcome is None
    ended = (episode.effective_outcome.value, "cut off" if cut else "", "excluded" if labels.excluded else "")
    return EpisodeInfo(
        episode=episode.path.name,
        kind=episode.meta.kind,
        task=episode.meta.task,
        outcome=", ".join(filter(None, ended)),
        tags=list(labels.tags),
        notes=list(episode.notes),
        bench=episode.meta.bench,
        sim=episode.spec.sim,
        seed=episode.meta.seed,
    )


def jitter_ms(
    ticks_s: NDArray[np.float64], skipped: NDArray[np.int64], pauses: NDArray[np.int64], rate_hz: float
) -> float | None:
    """99th percentile of how far a tick was from its due time, relative to the previous tick; pauses are left out."""
    off_s = np.delete(np.abs(np.diff(ticks_s) - (1 + skipped[1:]) / rate_hz), pauses - 1)
    return round(float(1e3 * np.percentile(off_s, 99)), 2) if len(off_s) else None


def idle(action: Values, rate_hz: float) -> NDArray[np.bool_]:
    """[T - 1] ticks in which no joint's goal moves."""
    return np.asarray((np.abs(np.diff(action, axis=0)) * rate_hz < IDLE_RAD_S).all(axis=1))


def leading_s(still: NDArray[np.bool_], ticks_s: NDArray[np.float64]) -> float:
    """Seconds until the first false value of `still` [T - 1], late ticks and pauses included."""
    if not len(ticks_s):
        return 0.0
    count = len(still) if still.all() else int(np.argmin(still))
    return round(float(abs(ticks_s[count] - ticks_s[0])), 2)


def jerk(arm: Values, rate_hz: float) -> float | None:
    """Root mean square of the third derivative of the goals sent to the arm's joints, in rad/s^3; None under 5 rows."""
    if len(arm) < 5 or not arm.shape[1]:
        return None
    return round(float(np.sqrt(np.square(np.diff(arm, n=3, axis=0) * rate_hz**3).mean())), 2)


def tracking_rad(qpos: Values, action: Values) -> float | None:
    """95th percentile over ticks and joints of the arm; grippers are left out, as a held object stops them."""
    if len(qpos) < 2 or not qpos.shape[1]:
        return None
    return round(float(np.percentile(np.abs(qpos[1:] - action[:-1]), 95)), 4)


def gripper_events(grippers: Values) -> list[int]:
    """Rows in which a gripper's goal crosses the middle of its range, by a tenth of that range."""
    rows: list[int] = []
    for goals in grippers.T:
        if not len(goals) or np.ptp(goals) < GRIPPER_RAD:
            continue
        middle, slack = (goals.max() + goals.min()) / 2, np.ptp(goals) / 10
        sides = np.where(goals > middle + slack, 1, np.where(goals < middle - slack, -1, 0))
        settled = np.flatnonzero(sides)
        turns = settled[1:][np.diff(sides[settled]) != 0]
        rows += [int(row) for row in turns]
    return sorted(rows)


def share(which: NDArray[np.bool_]) -> float | None:
    return round(float(which.mean()), 4) if len(which) else None


def _camera(episode: "Episode", name: str) -> CameraMeasures:
    from ebt_data.errors import DataError

    kept = episode.training_rows
    times = {what: column[kept] for what, column in episode.camera_time(name).items()}
    expected = min(1.0, episode.spec.cameras[name].rate_hz / episode.spec.rate_hz)
    means, spreads = [], []
    for row in kept[np.linspace(0, len(kept) - 1, SAMPLED_IMAGES).astype(int)]:
        try:
            picture = episode.image(name, int(row))
        except DataError:
            continue
        means.append(float(picture.mean()))
        spreads.append(float(picture.std()))
    return CameraMeasures(
        repeated=round(max(0.0, float(times["repeated"].mean()) - (1 - expected)), 4),
        dropped=int(times["dropped"].sum()),
        age_s=round(float(np.median(np.abs(times["age"]))), 4),
        brightness=round(float(np.median(means)), 1) if means else float("nan"),
        spread=round(float(np.median(spreads)), 1) if spreads else float("nan"),
    )
