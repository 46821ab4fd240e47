"""An episode as one figure: energy and threshold, joints requested and measured, and camera images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ebt_data.errors import DataError
from ebt_data.step import Actor

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode, EpisodeEvent

INK, SENT, ENERGY, LIMIT, EVENT = "#222222", "#b8b8b8", "#1b6ca8", "#c1403d", "#d9902f"
FRAMES = 8
COLUMNS = 3
WIDTH_IN = 12.0
COMMON = ("limit", "late")
"""Events that are too many to be labelled; `ebt inspect --json` has them all."""
LABEL_APART = 0.07
"""Of the whole time: labels that are closer are merged."""


def plot_episode(episode: "Episode", name: str, out: Path) -> None:
    """Write a PNG (or another format, by the suffix of `out`) of the whole episode.

    Raises:
        DataError: it holds no row.
    """
    if not len(episode):
        raise DataError(f"{episode.path} holds no row: nothing to draw")
    cameras = list(episode.spec.cameras)
    joints = episode.spec.joints
    joint_rows = -(-len(joints) // COLUMNS)
    has_energy = episode.energy is not None
    heights = [1.6] * has_energy + [1.2] * joint_rows + [1.25] * len(cameras)
    figure = Figure(figsize=(WIDTH_IN, sum(heights) * 1.15 + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{name}   {episode.meta.task}   {_outcome(episode)}", x=0.01, ha="left", color=INK, fontsize=11)
    rows = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    time_s = np.asarray(episode.time["tick"])
    if has_energy:
        _energy(next(rows).subplots(), episode, time_s)
    for row in range(joint_rows):
        axes = next(rows).subplots(1, COLUMNS, squeeze=False)[0]
        _joints(axes, episode, time_s, range(row * COLUMNS, min((row + 1) * COLUMNS, len(joints))))
    for camera in cameras:
        _camera(next(rows).subplots(1, FRAMES, squeeze=False)[0], episode, camera, time_s)
    figure.savefig(out, dpi=110)


def _outcome(episode: "Episode") -> str:
    judged, recorded = episode.effective_outcome, episode.outcome
    return str(judged) if judged is recorded else f"{judged} (recorded: {recorded})"


def _energy(axes: Axes, episode: "Episode", time_s: NDArray[np.float64]) -> None:
    energy = episode.energy or {}
    score, limit = np.asarray(energy["score"]), np.asarray(energy["threshold"])
    axes.plot(time_s, score, color=ENERGY, lw=1.3, label="energy")
    if np.isfinite(limit).any():
        axes.plot(time_s, limit, color=LIMIT, lw=1, ls="--", label="threshold")
        axes.fill_between(time_s, limit, score, where=score > limit, color=LIMIT, alpha=0.25, lw=0)
    retrying = np.asarray(energy["actor"]) == Actor.RETRY
    if retrying.any():
        axes.fill_between(time_s, 0, 1, where=retrying, transform=axes.get_xaxis_transform(), color=EVENT, alpha=0.15,
                          lw=0, label="retrying")  # fmt: skip
    _events(axes, episode.events, float(time_s[-1]) if len(time_s) else 1.0)
    axes.legend(loc="lower left", bbox_to_anchor=(0.08, 0.98), fontsize=7, frameon=False, ncols=3, borderpad=0)
    _dress(axes, "energy", time_s)


def _events(axes: Axes, events: "Sequence[EpisodeEvent]", last_s: float) -> None:
    """A line for each event and one label for events too close for two."""
    groups: list[tuple[float, list[str]]] = []
    for event in (event for event in events if event.kind not in COMMON):
        axes.axvline(event.time_s, color=EVENT, lw=0.7)
        if groups and event.time_s - groups[-1][0] < LABEL_APART * last_s:
            groups[-1][1].append(event.kind)
        else:
            groups.append((event.time_s, [event.kind]))
    for time_s, kinds in groups:
        at_end = time_s > (1 - LABEL_APART) * last_s
        axes.text(time_s, 0.98, f" {chr(10).join(kinds)} ", transform=axes.get_xaxis_transform(),
                  ha="right" if at_end else "left", va="top", fontsize=6, color=EVENT,
                  bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.5})  # fmt: skip


def _joints(axes: Sequence[Axes], episode: "Episode", time_s: NDArray[np.float64], joints: range) -> None:
    for panel, joint in zip(axes, joints, strict=False):
        panel.plot(time_s, episode.action[:, joint], color=SENT, lw=2.2, label="sent")
        panel.plot(time_s, episode.qpos[:, joint], color=INK, lw=0.9, label="measured")
        _dress(panel, f"{episode.spec.joints[joint]} (rad)", time_s)
    if joints.start == 0:
        axes[0].legend(loc="best", fontsize=7, frameon=False, ncols=2)
    for empty in axes[len(joints) :]:
        empty.set_axis_off()


def _camera(axes: Sequence[Axes], episode: "Episode", camera: str, time_s: NDArray[np.float64]) -> None:
    shown = episode.image_index(camera)[1]
    for panel, row in zip(axes, np.linspace(0, len(episode) - 1, FRAMES).round().astype(int), strict=True):
        if shown[row] >= 0:  # none where the first pictures were dropped
            panel.imshow(episode.image(camera, int(row)), interpolation="nearest")
        panel.set_title(f"{camera}  {time_s[row]:.1f} s", fontsize=7, color=INK, loc="left", pad=2)
        panel.set_axis_off()


def _dress(axes: Axes, title: str, time_s: NDArray[np.float64]) -> None:
    axes.set_title(title, fontsize=8, loc="left", color=INK, pad=3)
    axes.tick_params(labelsize=6, colors=INK, length=2)
    axes.set_xlim(0, max(float(time_s[-1]), 1e-3))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", lw=0.3, alpha=0.6)
