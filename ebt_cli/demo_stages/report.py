"""What `ebt inspect` reports of the folder of a demo, and of one of its tallies."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ebt_cli.demo_stages.stage import missing, resume_command
from ebt_cli.reports.rollouts_report import ENERGIES, SMOOTHED, peak, report_folder, smoothed
from ebt_cli.reports.tally import CALIBRATION, Line, load_tally, made_by, successes
from ebt_cli.terminal.console import short_path
from ebt_cli.terminal.verdict import Grade, Reason, Report, interval, rate_reason

CONTROLS = {
    "cameras_blacked_out": "with the cameras blacked out",
    "mean_demonstration_replayed": "with the mean demonstration replayed",
    "zero_descent_steps": "with zero descent steps",
}
NAMES = {
    "policy": "the policy",
    **CONTROLS,
    "calibrate": "calibration, on other scenes",
    "knocked_with_retry": "object knocked from the grip, with retry",
    "knocked_without": "object knocked from the grip, without",
    "clean_with_retry": "not disturbed, with retry",
}
"""By file, in the order of the table."""
MONITORED = re.compile(r"\bcalibration=(?!None\b)")
"""In the words of a trial: a monitor ran on its rollouts, and it smooths the scores itself."""

JUDGED_PARTS = ("episodes", "run")
"""Parts that the demo's verdict depends on; the two rollouts beside them are examples."""


def is_demo(folder: Path) -> bool:
    """True for a folder that `ebt demo` works in."""
    return (folder / "run" / "run.json").is_file() and (folder / "episodes").is_dir()


def report(folder: Path, parts: Sequence[tuple[str, Report]]) -> Report:
    """The success rates and their controls; `parts` are the reports of the folder's content, by name."""
    tallies = {name: _rollouts(folder / f"{name}.jsonl", folder / "run") for name in NAMES}
    tallies = {name: lines for name, lines in tallies.items() if lines}
    old = sum((folder / f"{name}.jsonl").is_file() and name not in tallies for name in NAMES)
    calibrated = (folder / "run" / CALIBRATION).is_file()
    left = missing(folder, tallies, calibrated)
    reasons = [_rate(tallies.get("policy", [])), *_controls(tallies), *_retry(tallies, left, calibrated)]
    reasons += [_part(name, part) for name, part in parts if name in JUDGED_PARTS]
    if old:
        text = f"{old} tallies are empty, or of other weights than run/ has: not counted"
        reasons.append(Reason("other_weights", Grade.DOUBTFUL, text, old, "0"))
    rows = [(_share(lines), f"{NAMES[name]} ({_facts(lines)['interval_95']})") for name, lines in tallies.items()]
    rows += [(f"{name}/", f"{part.grade.word}: {_worst(part)}") for name, part in parts if name not in JUDGED_PARTS]
    if (folder / "rollout.png").is_file():
        rows.append(("picture", str(short_path(folder / "rollout.png"))))
    facts: dict[str, Any] = {"folder": str(folder), "tallies": {name: _facts(lines) for name, lines in tallies.items()}}
    facts |= {name: part.grade.word for name, part in parts}
    then = resume_command(folder) if left else f"ebt inspect {short_path(folder / 'run')}"
    return Report("demo", f"the demo in {short_path(folder)}", reasons, rows, then, facts)


def report_tally(file: Path) -> Report:
    """The rollouts of one tally."""
    header, lines = load_tally(file)
    found = [_as_rollout(line, MONITORED.search(str(header["trial"])) is not None) for line in lines]
    rollouts = report_folder(short_path(file), found, [], f"ebt inspect {short_path(file.parent)}")
    return Report(
        "tally",
        rollouts.title,
        rollouts.reasons,
        rollouts.rows,
        rollouts.next,
        rollouts.facts | {"trial": header["trial"]},
    )


def _rollouts(file: Path, run: Path) -> list[Line]:
    """The rollouts made with the run's current files."""
    return load_tally(file)[1] if file.is_file() and made_by(file, run) else []


def _as_rollout(line: Line, monitored: bool) -> dict[str, Any]:
    """Energies only of rollouts without a retry: a line does not contain where its first attempt ended."""
    kinds, scores = line.get("kinds", []), line.get("scores", []) if line.get("attempts", 1) == 1 else []
    energies = smoothed(scores, 1 if monitored else SMOOTHED)
    return {
        "episode": f"seed {line['seed']}",
        "outcome": line["outcome"],
        "why": line.get("why", ""),
        "seed": line["seed"],
        "seconds": round(line.get("seconds", 0.0), 3),
        "late_ticks": None,
        "attempts": line.get("attempts", 1),
        "disturbed": "disturbance" in kinds,
        "rises": kinds.count("rise"),
        "peak_energy": peak(energies),
        ENERGIES: energies,
    }


def _rate(lines: list[Line]) -> Reason:
    return rate_reason("success_rate", successes(lines), len(lines), "fresh scenes")


def _controls(tallies: dict[str, list[Line]]) -> list[Reason]:
    """The rate counts only where it is above those of cameras masked, mean replay and zero descent steps."""
    from ebt_recipes.loop.interval import wilson

    policy = tallies.get("policy", [])
    floor = wilson(successes(policy), len(policy))[0]
    reasons = []
    for name, words in CONTROLS.items():
        if lines := tallies.get(name):
            good = successes(lines)
            below = wilson(good, len(lines))[1] < floor
            text = f"{words} {good} of {len(lines)} succeed{'' if below else ', not clearly fewer than the policy'}"
            reasons.append(Reason(name, Grade(int(not below)), text, good, "upper end below the policy's lower"))
    return reasons


def _retry(tallies: dict[str, list[Line]], left: Sequence[str], calibrated: bool) -> list[Reason]:
    with_retry, without = (
        tallies.get("knocked_with_retry", []),
        {line["seed"]: line for line in tallies.get("knocked_without", [])},
    )
    pairs = [
        (line["outcome"] == "success", without[line["seed"]]["outcome"] == "success")
        for line in with_retry
        if line["seed"] in without
    ]
    if not pairs:
        why = "nothing disturbs its task" if calibrated else "the energy is not calibrated"
        text = "whether retrying helps: not reached yet" if left else f"retrying was not tried: {why}"
        return [Reason("retry", Grade.DOUBTFUL, text, None, "helps more than it hurts")]
    helped, hurt = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    text = f"retrying saved {helped} and lost {hurt} of {len(pairs)} rollouts with the object knocked out of the grip"
    return [Reason("retry", Grade(int(helped <= hurt)), text, helped - hurt, "> 0")]


def _part(name: str, part: Report) -> Reason:
    return Reason(name, part.grade, f"{name}/ is {part.grade.word}: {_worst(part)}", part.grade.word, "good")


def _worst(part: Report) -> str:
    return max(part.reasons, key=lambda reason: reason.grade).text if part.reasons else "empty"


def _share(lines: list[Line]) -> str:
    return f"{successes(lines):>3} of {len(lines):>3}"


def _facts(lines: list[Line]) -> dict[str, Any]:
    from ebt_recipes.loop.interval import wilson

    good = successes(lines)
    low, high = wilson(good, len(lines))
    return {
        "rollouts": len(lines),
        "successes": good,
        "low": round(low, 4),
        "high": round(high, 4),
        "interval_95": interval(low, high),
    }
