"""What `ebt inspect` reports of one rollout: outcome, energy, alarms and retries."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from ebt_cli.reports.demonstrations import LATE, VERY_LATE
from ebt_cli.reports.episode_summary import motors_in_words
from ebt_cli.reports.rollouts_report import Measures, measure, without_energies
from ebt_cli.reports.suggested_commands import draw
from ebt_cli.screens import widgets
from ebt_cli.screens.deploy_screen import MARKED
from ebt_cli.screens.page import LABEL
from ebt_cli.terminal.console import escape_control
from ebt_cli.terminal.verdict import Grade, Reason, Report, graded
from ebt_data.step import Actor

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode

OLD_PLAN_S = 0.5
"""A plan that is older acts on a scene of half a second ago; chunks of eight ticks at 20 Hz last 0.4 s. Our choice."""
WIDTH, STRIP = 80 - LABEL, 5
"""Columns and lines of the energy strip."""
QUIET = ("limit", "late", "engage")
"""Events that are unrelated to alarms and retries."""


def report(episode: "Episode", facts: dict[str, Any]) -> Report:
    """One rollout: outcome, energy, alarms and retries."""
    found, energy = measure(episode), facts.get("energy", {})
    late = found["late_ticks"] / max(1, found["rows"])
    text = f"{found['late_ticks']} late ticks in {found['rows']}"
    checks = [
        _outcome(found),
        _energy(episode, found, energy),
        *_pace(energy),
        Reason("late_ticks", graded(late, LATE, VERY_LATE), text, found["late_ticks"], f"<= {LATE:.0%}"),
    ]
    if facts["intact"] is False:
        checks.append(
            Reason("sum", Grade.BAD, "the file is not what was recorded: its sha256 differs", False, "the same")
        )
    policy = Path(episode.meta.policy).name or "a policy"
    return Report(
        "episode",
        f"{episode.path.name}: a rollout of {policy}",
        checks,
        [*_strip(episode), *_story(episode), *_rows(episode, found, facts, energy)],
        draw(episode, "rollout.png"),
        facts | {"measures": without_energies(found)},
    )


def _outcome(found: Measures) -> Reason:
    tries = f" on attempt {found['attempts']}" if found["attempts"] > 1 else ""
    won, cut = found["outcome"] == "success", found["outcome"].startswith("aborted")
    grade = Grade.GOOD if won else Grade.DOUBTFUL if cut else Grade.BAD
    text = f"{found['outcome']}{tries} after {found['seconds']:.1f} s: {found['why']}"
    return Reason("outcome", grade, text, found["outcome"], "success")


def _energy(episode: "Episode", found: Measures, energy: dict[str, Any]) -> Reason:
    won, limit = found["outcome"] == "success", "no alarm in a success, an alarm in a failure"
    if not energy:
        return Reason("energy", Grade.DOUBTFUL, "it contains no energy: no plan was sampled", None, limit)
    if not energy["calibrated"]:
        text = "there was no threshold: alarms and retries were off"
        return Reason("energy", Grade.DOUBTFUL, text, None, limit)
    alarm = next((event for event in episode.events if event.kind == "rise"), None)
    if alarm is None:
        text = f"the energy stayed below its threshold, at most {energy['score_peak']:.3g}{'' if won else ': no alarm'}"
        return Reason("energy", Grade.GOOD if won else Grade.DOUBTFUL, text, 0, limit)
    retried = found["attempts"] > 1
    after = "a retry followed" if retried else "nothing followed"
    text = f"the first alarm came at {alarm.time_s:.1f} s ({alarm.text}), and {after}"
    return Reason("energy", Grade(int(won and not retried)), text, found["rises"], limit)


def _pace(energy: dict[str, Any]) -> list[Reason]:
    """Age of the oldest plan in use: planning must finish before the chunk does."""
    age_ms, latency_ms = energy.get("plan_age_ms_max"), energy.get("latency_ms_max")
    if age_ms is None or latency_ms is None or not np.isfinite([age_ms, latency_ms]).all():
        return []
    text = f"plans took up to {latency_ms:.0f} ms and were at most {age_ms:.0f} ms old in use"
    grade = graded(age_ms / 1000, OLD_PLAN_S, 2 * OLD_PLAN_S)
    return [Reason("plan_age_ms", grade, text, age_ms, f"<= {1000 * OLD_PLAN_S:.0f}")]


def _strip(episode: "Episode") -> list[tuple[str, str | Text]]:
    energy = episode.energy
    if energy is None or not len(episode):
        return []
    retrying = [actor == Actor.RETRY for actor in energy["actor"]]
    strip = widgets.strip(energy["score"].tolist(), energy["threshold"].tolist(), retrying, WIDTH, STRIP)
    marked = [(e.row, MARKED[e.kind].format(text=escape_control(e.text))) for e in episode.events if e.kind in MARKED]
    lines = [*strip.split(), widgets.marks(marked, retrying, WIDTH)]
    lines.append(widgets.axis(float(episode.time["tick"][-1]), len(retrying), WIDTH))
    return [("energy" if not index else "", line) for index, line in enumerate(lines)]


def _story(episode: "Episode") -> list[tuple[str, str | Text]]:
    """Alarms and retries, in at most three lines."""
    checks = [event for event in episode.events if event.kind not in QUIET]
    lines = [""]
    for event in checks:
        text = f" ({event.text})" if event.kind in ("disturbance", "give_up") else ""
        word = f"{event.time_s:.1f} s {event.kind}{text}"
        if len(lines[-1]) + len(word) > WIDTH - 2:
            lines.append(word)
        else:
            lines[-1] += f", {word}" if lines[-1] else word
    return [("events" if not index else "", line) for index, line in enumerate(lines[:3]) if line]


def _rows(
    episode: "Episode", found: Measures, facts: dict[str, Any], energy: dict[str, Any]
) -> list[tuple[str, str | Text]]:
    size = f"{facts['bytes'] / 1e6:.1f} MB, {found['rows']} rows at {facts['rate_achieved_hz']} Hz"
    return [
        ("plans", f"{energy.get('plans', 0)}, each of {energy.get('steps_used_median') or 0} descent steps (median)"),
        ("bench", f"{facts['bench']}{' (SIM)' if found['sim'] else ''}, seed {found['seed']}"),
        ("recorded", f"{facts['created']}, {size}"),
        ("policy", episode.meta.policy or "not named"),
        ("motors", motors_in_words(facts)),
    ]
