"""What `ebt inspect` reports of a folder of rollouts, and of a tally: success rate, failures, and how well energy separates them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ebt_cli.reports.measures import EpisodeInfo, episode_info
from ebt_cli.terminal.verdict import Grade, Reason, Report, rate_reason

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode

SEPARATES = 0.8
"""Probability that a failure's highest energy is above a success's (AUROC); 0.5 is chance. Our choice."""
TOO_FEW = 5
"""Of either kind: with fewer failures or successes the separation is not estimated."""
ENERGIES = "energies"
"""Key of `Measures`: the smoothed energies of the first attempt's plans, or None."""
SMOOTHED = 3
"""Plans averaged before the highest energy is taken, as the monitor does (`MonitorRules.window`)."""
NAMED = 3
"""Failures that are listed on the screen; --json lists all."""


class Measures(EpisodeInfo):
    """Measures of one rollout."""

    why: str
    rows: int
    seconds: float
    late_ticks: int
    attempts: int
    disturbed: bool
    rises: int
    first_rise_s: float | None
    peak_energy: float | None
    energies: list[float] | None


def measure(episode: "Episode") -> Measures:
    """Measure one rollout."""
    energy, ticks = episode.energy or {}, episode.time["tick"]
    rows = len(episode)
    known = first_energies(energy, energy["attempt"]) if energy and rows else None
    kinds = Counter(event.kind for event in episode.events)
    attempt = energy["attempt"] if rows else np.ones(0)
    seconds = float(ticks[-1] - ticks[0]) if rows else 0.0
    return Measures(
        **episode_info(episode),
        why=_why(episode, kinds, round(seconds, 3)),
        rows=rows,
        seconds=round(seconds, 3),
        late_ticks=int(episode.time["skipped"].sum()),
        attempts=int(attempt.max()) if rows else 1,
        disturbed=kinds["disturbance"] > 0,
        rises=kinds["rise"],
        first_rise_s=next((round(e.time_s, 2) for e in episode.events if e.kind == "rise"), None),
        peak_energy=peak(known),
        energies=known,
    )


def _why(episode: "Episode", kinds: Counter[str], seconds: float) -> str:
    if episode.labels.outcome is not None:
        return "the operator judged it"
    if episode.outcome == "success":
        return "the success test held"
    if episode.outcome == "aborted":
        return "the operator or a fault ended it early"
    if kinds["give_up"]:
        return "it gave up: " + next(e.text for e in episode.events if e.kind == "give_up")
    if episode.energy is None or not np.isfinite(episode.energy["threshold"]).any():
        noticed = "there was no threshold"
    else:
        noticed = "alarm raised" if kinds["rise"] else "no alarm"
    return f"no success in {seconds:.1f} s; {noticed}"


def first_energies(energy: dict[str, Any], attempt: Any) -> list[float] | None:
    """Smoothed energies of the new plans in the first attempt, before a retry changes what is compared."""
    fresh = np.isfinite(energy["trace"]).any(axis=1) & (attempt == 1)
    return smoothed(energy["energy"][fresh].tolist())


def smoothed(energies: Sequence[float], window: int = SMOOTHED) -> list[float] | None:
    """As the monitor smooths them; None where there are none, or one is not finite."""
    from ebt_recipes.uncertainty.monitor import smooth

    return smooth(energies, window) if energies and np.isfinite(energies).all() else None


def peak(energies: Sequence[float] | None) -> float | None:
    return round(max(energies), 3) if energies else None


def without_energies(found: Mapping[str, Any]) -> dict[str, Any]:
    """The reported measures of a rollout: all but the energies of its plans, which are only compared."""
    return {name: value for name, value in found.items() if name != ENERGIES}


def separation(failures: Sequence[Sequence[float]], successes: Sequence[Sequence[float]]) -> float:
    """Chance that a failure's energies peak above a success's (area under the ROC curve); ties count half.

    Each pair is compared over the number of plans that both have. Failures last longer, and the maximum
    over more plans is higher by chance: over all of them, uninformative energies would seem informative.
    """
    above = []
    for bad in map(np.maximum.accumulate, failures):
        for good in map(np.maximum.accumulate, successes):
            last = min(len(bad), len(good)) - 1
            above.append((bad[last] > good[last]) + 0.5 * (bad[last] == good[last]))
    return float(np.mean(above))


def reasons(found: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Of a folder or a tally: the success rate, what retries gained, and whether energy separates failures from successes."""
    judged = [one for one in found if one["outcome"] in ("success", "failure")]
    good = [one for one in judged if one["outcome"] == "success"]
    checks = [rate_reason("success_rate", len(good), len(judged))]
    aborted = len(found) - len(judged)
    if aborted:
        checks.append(
            Reason(
                "aborted",
                Grade.DOUBTFUL,
                f"{aborted} of {len(found)} were aborted or excluded and do not count",
                aborted,
                "0",
            )
        )
    retried = [one for one in judged if one["attempts"] > 1]
    if retried:
        helped = sum(one["outcome"] == "success" for one in retried)
        text = f"{helped} of {len(retried)} retried rollouts succeeded"
        checks.append(
            Reason("retried", Grade.GOOD if helped * 2 >= len(retried) else Grade.DOUBTFUL, text, helped, ">= half")
        )
    return [*checks, *_energies(judged)]


def _energies(judged: Sequence[Mapping[str, Any]]) -> list[Reason]:
    bad, good = _compared(judged, "failure"), _compared(judged, "success")
    if min(len(bad), len(good)) < TOO_FEW:
        return []
    area = separation(bad, good)
    text = (
        f"energy separates {len(bad)} failures from {len(good)} successes at equal time: AUROC {area:.2f} (chance: 0.5)"
    )
    return [Reason("separation", Grade(int(area < SEPARATES)), text, round(area, 3), f">= {SEPARATES}")]


def _compared(found: Sequence[Mapping[str, Any]], outcome: str) -> list[list[float]]:
    return [one[ENERGIES] for one in found if one["outcome"] == outcome and one[ENERGIES]]


def report_folder(name: str, found: Sequence[Mapping[str, Any]], damaged: Sequence[Reason], then: str) -> Report:
    """A folder of rollouts, or the lines of a tally."""
    judged = [one for one in found if one["outcome"] in ("success", "failure")]
    rows = [*_failures(judged), *_energy_rows(judged), *_circumstances(found)]
    facts = {"folder": name, "judged": len(judged), "successes": sum(one["outcome"] == "success" for one in judged)}
    checks = [*reasons(found), *damaged]
    return Report(
        "rollouts",
        f"{len(found)} rollouts in {name}",
        checks,
        rows,
        then,
        facts | {"episodes": [*map(without_energies, found)]},
    )


def _failures(judged: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    failed = [one for one in judged if one["outcome"] == "failure"]
    lines = [f"{_name(one)}: {one['why']}" for one in failed[:NAMED]]
    if len(failed) > NAMED:
        kinds = Counter(one["why"].partition(":")[0].partition(" in ")[0] for one in failed)
        lines.append(f"and {len(failed) - NAMED} more; in all " + ", ".join(f"{n} {why}" for why, n in kinds.items()))
    return [("failed" if not index else "", line) for index, line in enumerate(lines or ["none"])]


def _energy_rows(judged: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    bad, good = _compared(judged, "failure"), _compared(judged, "success")
    sides = [(what, each) for what, each in (("successes", good), ("failures", bad)) if each]
    rows = [("peak energy", f"{_ladder([*map(max, each)])} in {len(each)} {what}") for what, each in sides]
    if min(len(bad), len(good)) < TOO_FEW:
        text = f"{len(bad)} failures, {len(good)} successes: too few to estimate whether energy separates them"
        rows.append(("", text))
    unknown = sum(one["attempts"] > 1 and not one[ENERGIES] for one in judged)
    if unknown:
        rows.append(("", f"{unknown} of {len(judged)} were retried: the energies of their first attempt are unknown"))
    return rows


def _circumstances(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    seeds = sorted(one["seed"] for one in found if one["seed"] is not None)
    tries = sorted(Counter(one["attempts"] for one in found).items())
    return [
        ("attempts", ", ".join(f"{count} took {number}" for number, count in tries)),
        ("alarms", f"in {sum(one['rises'] > 0 for one in found)} of {len(found)}"),
        ("disturbed", f"{sum(one['disturbed'] for one in found)} of {len(found)}"),
        ("lasted", f"{_ladder([one['seconds'] for one in found] or [0.0])} s"),
        ("late ticks", str(sum(one["late_ticks"] or 0 for one in found))),
        ("scenes", f"seeds {seeds[0]} to {seeds[-1]}" if seeds else "no seeds: a real bench"),
    ]


def _name(one: Mapping[str, Any]) -> str:
    return (
        str(one["episode"])
        if one["seed"] is None or str(one["seed"]) in one["episode"]
        else f"{one['episode']} (seed {one['seed']})"
    )


def _ladder(values: Sequence[float]) -> str:
    return f"{np.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
