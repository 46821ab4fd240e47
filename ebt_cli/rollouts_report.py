"""How often does it work, and which ones failed: what `ebt inspect` says of a folder of rollouts, and of a tally."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ebt_cli.verdict import Grade, Reason, Report, rate_reason

if TYPE_CHECKING:
    from ebt_data.episode import Episode

SEPARATES = 0.8
"""Chance that a failure's highest energy lies above a success's: 0.5 is a coin. Our choice."""
TOO_FEW = 5
"""Of either kind: fewer failures or successes say nothing about how energies differ."""
SMOOTHED = 3
"""Plans averaged before the highest energy is taken, as the monitor does (`MonitorRules.window`)."""
NAMED = 3
"""Failures that are named on the screen; the others stand in --json."""


def measure(episode: "Episode") -> dict[str, Any]:
    """What one rollout is judged by."""
    energy, ticks = episode.energy or {}, episode.time["tick"]
    rows = len(episode)
    kinds = Counter(event.kind for event in episode.events)
    attempt = energy["attempt"] if rows else np.ones(0)
    seconds = float(ticks[-1] - ticks[0]) if rows else 0.0
    return {
        "episode": episode.path.name,
        "kind": episode.meta.kind,
        "task": episode.meta.task,
        "outcome": str(episode.outcome) + ("" if episode.complete else ", cut off"),
        "why": _why(episode, kinds, round(seconds, 3)),
        "bench": episode.meta.bench,
        "sim": episode.spec.sim,
        "seed": episode.meta.seed,
        "rows": rows,
        "seconds": round(seconds, 3),
        "late_ticks": int(episode.time["skipped"].sum()),
        "attempts": int(attempt.max()) if rows else 1,
        "disturbed": kinds["disturbance"] > 0,
        "rises": kinds["rise"],
        "first_rise_s": next((round(e.time_s, 2) for e in episode.events if e.kind == "rise"), None),
        "peak_energy": _peak(energy, attempt),
    }


def _why(episode: "Episode", kinds: Counter[str], seconds: float) -> str:
    if episode.outcome == "success":
        return "the success test held"
    if episode.outcome == "aborted":
        return "a person or a fault cut it short"
    if kinds["give_up"]:
        return "it gave up: " + next(e.text for e in episode.events if e.kind == "give_up")
    if episode.energy is None or not np.isfinite(episode.energy["threshold"]).any():
        noticed = "no band was known"
    else:
        noticed = "its energy rose" if kinds["rise"] else "its energy stayed normal"
    return f"no success in {seconds:.1f} s; {noticed}"


def _peak(energy: dict[str, Any], attempt: Any) -> float | None:
    """The highest smoothed energy of new plans in the first attempt, before a retry changes what is compared."""
    from ebt_recipes.monitor import smooth

    if not energy or not len(attempt):
        return None
    fresh = np.isfinite(energy["trace"]).any(axis=1) & (attempt == 1)
    values = energy["energy"][fresh]
    return round(max(smooth(values.tolist(), SMOOTHED)), 3) if len(values) and np.isfinite(values).all() else None


def separation(failures: Sequence[float], successes: Sequence[float]) -> float:
    """Chance that a failure's energy lies above a success's (area under the ROC curve); ties count half."""
    above = [(bad > good) + 0.5 * (bad == good) for bad in failures for good in successes]
    return float(np.mean(above))


def reasons(found: Sequence[dict[str, Any]]) -> list[Reason]:
    """Of a folder or a tally: the rate, what retrying was worth, whether energy tells failures from successes."""
    judged = [one for one in found if one["outcome"] in ("success", "failure")]
    good = [one for one in judged if one["outcome"] == "success"]
    told = [rate_reason("success_rate", len(good), len(judged))]
    aborted = len(found) - len(judged)
    if aborted:
        told.append(
            Reason(
                "aborted", Grade.DOUBTFUL, f"{aborted} of {len(found)} were cut short and judge nothing", aborted, "0"
            )
        )
    retried = [one for one in judged if one["attempts"] > 1]
    if retried:
        helped = sum(one["outcome"] == "success" for one in retried)
        text = f"{helped} of {len(retried)} that were retried succeeded after all"
        told.append(
            Reason("retried", Grade.GOOD if helped * 2 >= len(retried) else Grade.DOUBTFUL, text, helped, ">= half")
        )
    return [*told, *_energies(judged)]


def _energies(judged: Sequence[dict[str, Any]]) -> list[Reason]:
    bad, good = _peaks(judged, "failure"), _peaks(judged, "success")
    if min(len(bad), len(good)) < TOO_FEW:
        return []
    area = separation(bad, good)
    text = f"energy tells failures ({len(bad)}) from successes ({len(good)}): AUROC {area:.2f}, where a coin has 0.5"
    return [Reason("separation", Grade(int(area < SEPARATES)), text, round(area, 3), f">= {SEPARATES}")]


def _peaks(found: Sequence[dict[str, Any]], outcome: str) -> list[float]:
    return [one["peak_energy"] for one in found if one["outcome"] == outcome and one["peak_energy"] is not None]


def report_folder(name: str, found: Sequence[dict[str, Any]], damaged: Sequence[Reason], then: str) -> Report:
    """A folder of rollouts, or the lines of a tally."""
    judged = [one for one in found if one["outcome"] in ("success", "failure")]
    rows = [*_failures(found), *_energy_rows(judged), *_circumstances(found)]
    facts = {"folder": name, "judged": len(judged), "successes": sum(one["outcome"] == "success" for one in judged)}
    told = [*reasons(found), *damaged]
    return Report("rollouts", f"{len(found)} rollouts in {name}", told, rows, then, facts | {"episodes": list(found)})


def _failures(found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    failed = [one for one in found if one["outcome"] != "success"]
    lines = [f"{_name(one)}: {one['why']}" for one in failed[:NAMED]]
    if len(failed) > NAMED:
        kinds = Counter(one["why"].partition(":")[0].partition(" in ")[0] for one in failed)
        lines.append(f"and {len(failed) - NAMED} more; in all " + ", ".join(f"{n} {why}" for why, n in kinds.items()))
    return [("failed" if not index else "", line) for index, line in enumerate(lines or ["none"])]


def _energy_rows(judged: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    bad, good = _peaks(judged, "failure"), _peaks(judged, "success")
    rows = [("peak energy", f"{_ladder(values)} in {len(values)} {what}") for what, values in (("successes", good), ("failures", bad)) if values]  # fmt: skip
    if min(len(bad), len(good)) < TOO_FEW:
        text = f"{len(bad)} failures, {len(good)} successes: too few to say if energy tells them apart"
        rows.append(("", text))
    return rows


def _circumstances(found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    seeds = sorted(one["seed"] for one in found if one["seed"] is not None)
    tries = sorted(Counter(one["attempts"] for one in found).items())
    return [
        ("attempts", ", ".join(f"{count} took {number}" for number, count in tries)),
        ("energy rose", f"in {sum(one['rises'] > 0 for one in found)} of {len(found)}"),
        ("disturbed", f"{sum(one['disturbed'] for one in found)} of {len(found)}"),
        ("lasted", f"{_ladder([one['seconds'] for one in found] or [0.0])} s"),
        ("late ticks", str(sum(one["late_ticks"] or 0 for one in found))),
        ("scenes", f"seeds {seeds[0]} to {seeds[-1]}" if seeds else "no seeds: a real bench"),
    ]


def _name(one: dict[str, Any]) -> str:
    return (
        str(one["episode"])
        if one["seed"] is None or str(one["seed"]) in one["episode"]
        else f"{one['episode']} (seed {one['seed']})"
    )


def _ladder(values: Sequence[float]) -> str:
    return f"{np.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
