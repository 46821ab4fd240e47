"""What `ebt inspect` reports of one demonstration and of a folder of them: whether they are good training data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

import numpy as np

from ebt_cli.reports.episode_summary import motors_in_words
from ebt_cli.reports.measures import measure
from ebt_cli.reports.suggested_commands import collect, draw
from ebt_cli.terminal.console import short_path
from ebt_cli.terminal.verdict import Grade, Reason, Report, graded
from ebt_data.files.commit import TRASH

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode

ENOUGH, FEW = 50, 10
"""Demonstrations: ACT was trained on 50 for each task (arXiv 2304.13705); the twin's task took 200
(docs/lab-notes/image-policies.md)."""
LATE, VERY_LATE = 0.01, 0.05
"""Of the ticks. A late tick holds the previous action for twice its time; our choice."""
LOST, MANY_LOST = 0.01, 0.05
"""Of the frames, dropped by the writer; our choice."""
OLD_S, VERY_OLD_S = 0.1, 0.25
"""Median age of an image: with older ones the policy observes the scene two ticks of 20 Hz late; our choice."""
IDLE, MOSTLY_IDLE = 0.2, 0.5
"""Of the ticks; our choice."""
WAIT_S, LONG_WAIT_S = 1.0, 3.0
"""Before the first and after the last motion of a demonstration; our choice."""
HELD_BACK, OFTEN_HELD_BACK = 0.1, 0.3
"""Of the ticks, in which a limit of the bench changed the requested action; our choice. The twin's scripted operator stays under 0.05."""
DARK, BRIGHT, FLAT = 25.0, 230.0, 4.0
"""Mean of an image in 0..255, and the standard deviation below which it is empty, as behind a lens cap; our choice."""
TRACKING_RAD = 0.15
"""95th percentile of measured less sent, without grippers: above it, the arm does not follow its goals. The twin's
arms stay within 0.04; the bench itself stops at 0.4 (`tracking_rad`)."""
VARIETY_RAD = 0.05
"""Standard deviation of the pose where the gripper first acts, of the joint that varies most. With
less, replaying the mean demonstration would work as well. The recipe's own precision is 0.03 (`zoom_rad`)."""
OUTLIER = 2.0
"""Times the median length: longer, or shorter by this factor, is an outlier."""
ODD, MANY_ODD = 0.1, 0.3
"""Of the demonstrations may be of odd length, or lack a gripper event; our choice."""


def reasons(found: Sequence[Mapping[str, Any]], folder: Path) -> list[Reason]:
    """The checks common to one episode and a folder, over all of `found` in `folder` together."""
    rows = sum(one["rows"] for one in found)
    late = sum(one["late_ticks"] for one in found)
    part = late / max(1, rows + late)
    checks = [
        Reason(
            "late_ticks",
            graded(part, LATE, VERY_LATE),
            f"{late} late ticks in {rows} ({part:.1%})",
            late,
            f"<= {LATE:.0%}",
        )
    ]
    checks += _camera_reasons(found, rows)
    still = float(np.average([one["idle"] or 0.0 for one in found], weights=[max(1, one["rows"]) for one in found]))
    checks.append(
        Reason(
            "idle",
            graded(still, IDLE, MOSTLY_IDLE),
            f"no joint moves in {still:.0%} of the ticks",
            still,
            f"<= {IDLE:.0%}",
        )
    )
    checks += [*_ends(found, folder), *_held_back(found)]
    tracked = [one["tracking_rad"] for one in found if one["tracking_rad"] is not None]
    if tracked:
        median, off = float(np.median(tracked)), sum(one > TRACKING_RAD for one in tracked)
        others = f"; {off} of {len(tracked)} only within {max(tracked):.3f}" if len(tracked) > 1 and off else ""
        checks.append(
            Reason(
                "tracking_rad",
                Grade(off / len(tracked) > ODD),
                f"the arm follows within {median:.3f} rad in 95 % of the ticks{others}",
                median,
                f"<= {TRACKING_RAD} in {1 - ODD:.0%} of the episodes",
            )
        )
    return checks


def _ends(found: Sequence[Mapping[str, Any]], folder: Path) -> list[Reason]:
    """Standing still at either end: a policy trained on it learns to wait."""
    waits = [max(one["idle_head_s"], one["idle_tail_s"]) for one in found]
    over = [one for one, wait in zip(found, waits, strict=True) if wait > WAIT_S]
    if not over:
        return []
    trims = [_trim(one, folder) for one in over]
    one, trim = next(((one, trim) for one, trim in zip(over, trims, strict=True) if trim), (over[0], ""))
    name = one["episode"] if len(found) == 1 else f"{len(over)} of {len(found)}, as {one['episode']},"
    still = f"for {one['idle_head_s']:.1f} s before and {one['idle_tail_s']:.1f} s after: {trim}"
    text = f"{name} stands still {still if trim else 'from start to end'}"
    part = len(over) / len(found)
    grade = graded(max(waits), WAIT_S, LONG_WAIT_S) if len(found) == 1 else graded(part, 0.0, MANY_ODD)
    return [Reason("ends", grade, text, round(max(waits), 2), f"<= {WAIT_S:g} s")]


def _trim(one: Mapping[str, Any], folder: Path) -> str:
    """The command that trims both ends, in seconds of the whole recording; empty where nothing moves."""
    first_s = one["first_s"] + one["idle_head_s"]
    last_s = one["first_s"] + one["seconds"] + one["paused_s"] - one["idle_tail_s"]
    if round(last_s, 1) <= round(first_s, 1):
        return ""
    return join(["ebt", "label", short_path(folder / one["episode"]), "--trim", f"{first_s:.1f}:{last_s:.1f}"])


def _held_back(found: Sequence[Mapping[str, Any]]) -> list[Reason]:
    parts = [one["held_back"] for one in found if one["held_back"] is not None]
    if not parts:
        return []
    median = float(np.median(parts))
    text = f"a limit of the bench changed the action in {median:.0%} of the ticks"
    grade = graded(median, HELD_BACK, OFTEN_HELD_BACK)
    return [Reason("held_back", grade, text, median, f"<= {HELD_BACK:.0%}")] if grade is not Grade.GOOD else []


def advice(path: Path) -> tuple[Grade, str]:
    """Whether to keep the episode just recorded, and the reason: `keep`, `keep, but ...`, `redo: ...`."""
    from ebt_cli.reports.measure_cache import Measured

    with Measured(path.parent) as measured:
        found, on = measured.of(path)
    checks = [
        reason
        for reason in (*reasons([found], path.parent), *_gripper([found], on.joints))
        if reason.grade is not Grade.GOOD
    ]
    worst = max((reason.grade for reason in checks), default=Grade.GOOD)
    why = "; ".join(reason.text for reason in checks if reason.grade is worst)
    return worst, {Grade.GOOD: "keep", Grade.DOUBTFUL: f"keep, but {why}", Grade.BAD: f"redo: {why}"}[worst]


def _camera_reasons(found: Sequence[Mapping[str, Any]], rows: int) -> list[Reason]:
    cameras = [(name, camera) for one in found for name, camera in one["cameras"].items()]
    if not cameras:
        return [Reason("cameras", Grade.DOUBTFUL, "no camera was recorded")]
    names = ", ".join(dict.fromkeys(name for name, _ in cameras))
    lost = sum(camera["dropped"] for _, camera in cameras) / max(1, rows * len({name for name, _ in cameras}))
    stale = float(np.mean([camera["repeated"] for _, camera in cameras]))
    age_s = float(np.median([camera["age_s"] for _, camera in cameras]))
    odd = [name for name, camera in cameras if not DARK <= camera["brightness"] <= BRIGHT or camera["spread"] < FLAT]
    levels = [camera["brightness"] for _, camera in cameras]
    levels_text = f"images of {names} have a mean brightness of {np.nanmin(levels):.0f}-{np.nanmax(levels):.0f} of 255"
    odd_text = f"; {len(odd)} dark, glaring or empty ({', '.join(sorted(set(odd)))})" if odd else ""
    worst = max(graded(lost, LOST, MANY_LOST), graded(stale, LOST, MANY_LOST), graded(age_s, OLD_S, VERY_OLD_S))
    text = f"frames: {lost:.1%} dropped, {stale:.1%} repeated, {1000 * age_s:.0f} ms old"
    return [
        Reason("frames", worst, text, round(max(lost, stale), 4), f"<= {LOST:.0%} each, <= {1000 * OLD_S:.0f} ms"),
        Reason(
            "exposure",
            graded(len(odd) / len(cameras), 0.0, ODD),
            f"{levels_text}{odd_text}",
            len(odd),
            f"{DARK:.0f}-{BRIGHT:.0f}",
        ),
    ]


def report_one(episode: "Episode", facts: dict[str, Any]) -> Report:
    """One demonstration."""
    found = measure(episode)
    good = found["outcome"] == "success"
    checks = [
        Reason(
            "outcome",
            Grade.GOOD if good else Grade.BAD,
            f"it ended in {found['outcome']}{'' if good else ': it is not used for training'}",
            found["outcome"],
            "success",
        ),
        *(
            [Reason("sum", Grade.BAD, "the file is not what was recorded: its sha256 differs", False)]
            if facts["intact"] is False
            else []
        ),
        *(
            reasons([found], episode.path.parent)
            if found["rows"]
            else [Reason("rows", Grade.BAD, "it holds no row", 0, "> 0")]
        ),
        *_gripper([found], episode.spec.joints),
    ]
    kinds = Counter(event.kind for event in episode.events)
    bench = f"{facts['bench']}{' (SIM)' if found['sim'] else ''}, seed {found['seed']}"
    paused = f" and {found['paused_s']:.1f} s of pauses" if found["paused_s"] else ""
    rate = f"{found['rows']} rows at {facts['rate_achieved_hz']} of {facts['rate_hz']:g} Hz"
    cameras = [f"{name} {c['height']}x{c['width']}, {c['new_frames']} frames" for name, c in facts["cameras"].items()]
    ticks = f"ticks within {_or_none(found['jitter_ms'])} ms of their time (99 %)"
    rows = [
        ("recorded", f"{facts['created']} by {found['operator'] or 'an unknown operator'} on {bench}"),
        ("task", episode.meta.task),
        ("length", f"{found['seconds']:.1f} s{paused}, {rate}"),
        ("cameras", ", ".join(cameras)),
        ("joints", f"{len(episode.spec.joints)}, from {episode.spec.joints[0]} to {episode.spec.joints[-1]}"),
        ("gripper", f"{found['gripper_events']} times opened or closed"),
        ("motion", f"jerk {_or_none(found['jerk_rad_s3'])} rad/s^3 (rms), {ticks}"),
        ("motors", motors_in_words(facts)),
        ("labels", " ".join((*(f"#{tag}" for tag in found["tags"]), "; ".join(found["notes"]))) or "none"),
        ("events", ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "none"),
        ("file", f"{facts['bytes'] / 1e6:.1f} MB, sha256 {_sum(facts['intact'])}"),
    ]
    title = f"{episode.path.name}: a demonstration of {episode.meta.task}"
    return Report(
        "episode",
        title,
        checks,
        rows,
        _advised(checks, found, episode),
        facts | {"measures": found},
    )


def _advised(checks: Sequence[Reason], found: Mapping[str, Any], episode: "Episode") -> str:
    """The next command for one demonstration: trim it where that is advised, or inspect it."""
    trim = _trim(found, episode.path.parent) if any(reason.name == "ends" for reason in checks) else ""
    return trim or draw(episode, "episode.png")


def _or_none(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _sum(intact: bool | None) -> str:
    return "not recorded" if intact is None else "as recorded" if intact else "DIFFERS"


def report_folder(
    folder: Path, found: Sequence[Mapping[str, Any]], joints: Sequence[str], damaged: Sequence[Reason]
) -> Report:
    """A folder of demonstrations: how many, how varied, and how clean."""
    usable = [one for one in found if one["outcome"] == "success" and one["rows"]]
    checks = [
        _count(len(usable), len(found)),
        *damaged,
        *(reasons(usable, folder) if usable else []),
        *_gripper(usable, joints),
        *_variety(usable, joints),
        *_lengths(usable),
    ]
    seconds = [one["seconds"] for one in usable] or [0.0]
    operators = Counter(one["operator"] or "unknown" for one in found)
    rows = [
        ("recorded", f"by {', '.join(operators)}{', on the twin (SIM)' if any(one['sim'] for one in found) else ''}"),
        (
            "length",
            f"{_ladder(seconds)} s, {sum(seconds) / 60:.1f} min in all, {sum(one['rows'] for one in usable)} rows",
        ),
        ("outcomes", ", ".join(f"{name} {count}" for name, count in Counter(one["outcome"] for one in found).items())),
        ("gripper", f"{_ladder([one['gripper_events'] for one in usable] or [0], 0)} times opened or closed"),
        ("starts", _spread(usable, "start_rad", joints)),
        ("first grips", _spread(usable, "grip_rad", joints)),
        ("seeds", _seeds(found)),
    ]
    facts = {"folder": str(folder), "usable": len(usable), "episodes": list(found)}
    return Report(
        "demonstrations",
        f"{len(found)} demonstrations in {short_path(folder)}",
        checks,
        rows,
        _next(folder, found, len(usable)),
        facts,
    )


def _next(folder: Path, found: Sequence[Mapping[str, Any]], usable: int) -> str:
    """Collect more of the most frequent task, or train where there are enough."""
    if usable >= ENOUGH:
        return join(["ebt", "train", _recipe(found), "--data", short_path(folder)])
    how = Counter((one["bench"], one["task"], one["operator"]) for one in found).most_common(1)
    bench, task, operator = how[0][0] if how else ("", "", "")
    home = folder.parent if folder.name == TRASH else folder
    return collect(short_path(home), bench, task, ENOUGH if usable else None, operator)


def _recipe(found: Sequence[Mapping[str, Any]]) -> str:
    """The recipe that is named like the task, where there is one."""
    from ebt_recipes.recipe import list_recipes

    task = found[0].get("task", "")
    return task if task in list_recipes() else "RECIPE"


def _count(usable: int, number: int) -> Reason:
    grade = graded(usable, ENOUGH, FEW)
    more = "" if grade is Grade.GOOD else f"; {ENOUGH} are common for a task"
    text = f"{usable} of {number} are complete and successful{more}"
    return Reason("usable", grade, text, usable, f">= {ENOUGH}")


def _gripper(found: Sequence[Mapping[str, Any]], joints: Sequence[str]) -> list[Reason]:
    if not found or not any("gripper" in joint for joint in joints):
        return []
    without = sum(one["gripper_events"] == 0 for one in found)
    times = f"{found[0]['gripper_events']} times" if len(found) == 1 else f"in {len(found) - without} of {len(found)}"
    text = f"the gripper opens or closes {times}"
    return [Reason("gripper", graded(without / len(found), ODD, MANY_ODD), text, without, f"<= {ODD:.0%} without")]


def _variety(found: Sequence[Mapping[str, Any]], joints: Sequence[str]) -> list[Reason]:
    poses = [one["grip_rad"] for one in found if one["grip_rad"] is not None]
    if len(poses) < 2:
        return []
    place, spread = _widest(poses)
    text = f"where the gripper first acts varies: {joints[place]} by {spread:.2f} rad (sd)"
    if spread < VARIETY_RAD:
        text = f"the gripper always acts at the same pose: {joints[place]} varies most, by {spread:.3f} rad (sd)"
    seeds = Counter(one["seed"] for one in found if one["seed"] is not None)
    twice = sum(count - 1 for count in seeds.values())
    checks = [Reason("variety_rad", Grade(spread < VARIETY_RAD), text, round(spread, 4), f">= {VARIETY_RAD}")]
    if twice:
        checks.append(
            Reason(
                "repeats",
                Grade.DOUBTFUL,
                f"{twice} of {len(found)} repeat a scene (seed) of another",
                twice,
                "0",
            )
        )
    return checks


def _lengths(found: Sequence[Mapping[str, Any]]) -> list[Reason]:
    seconds = np.array([one["seconds"] for one in found])
    if len(seconds) < 3:
        return []
    middle = float(np.median(seconds))
    odd = int(((seconds > OUTLIER * middle) | (seconds < middle / OUTLIER)).sum())
    text = f"{odd} of {len(seconds)} have an unusual length: over twice, or under half, the median {middle:.1f} s"
    return [Reason("lengths", graded(odd / len(seconds), ODD, MANY_ODD), text, odd, f"<= {ODD:.0%}")]


def _widest(poses: Sequence[Sequence[float]]) -> tuple[int, float]:
    spreads = np.asarray(poses).std(axis=0)
    return int(spreads.argmax()), float(spreads.max())


def _spread(found: Sequence[Mapping[str, Any]], name: str, joints: Sequence[str]) -> str:
    poses = [one[name] for one in found if one[name] is not None]
    if len(poses) < 2:
        return "fewer than two to compare"
    spreads = np.asarray(poses).std(axis=0)
    most = np.argsort(-spreads[: len(joints)], kind="stable")[:3]
    return ", ".join(f"{joints[place]} {spreads[place]:.2f}" for place in most) + " rad (sd)"


def _seeds(found: Sequence[Mapping[str, Any]]) -> str:
    known = sorted({one["seed"] for one in found if one["seed"] is not None})
    return f"{len(known)} scenes, {known[0]} to {known[-1]}" if known else "none: a real bench"


def _ladder(values: Sequence[float], digits: int = 1) -> str:
    return f"median {np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
