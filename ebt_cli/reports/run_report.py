"""What `ebt inspect` reports of a run: training, success rate, and calibration of its energy."""

import hashlib
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebt_cli.reports.demonstrations import ENOUGH, FEW
from ebt_cli.reports.suggested_commands import deploy
from ebt_cli.reports.tally import CALIBRATION, Line, load_tally, made_by, successes
from ebt_cli.screens import widgets
from ebt_cli.terminal.console import short_path
from ebt_cli.terminal.verdict import Grade, Reason, Report, graded, interval, rate_reason
from ebt_data.errors import ConfigError

if TYPE_CHECKING:
    from ebt_recipes.training.checkpoint import Run
    from ebt_recipes.training.curves import Curve
    from ebt_recipes.uncertainty.conformal import Calibration

LAST = 0.25
"""Last fraction of the training, over which convergence is checked."""
FALLING = 0.05
"""A validation error that fell by more in that last part was still falling; our choice."""
OVERFIT_RATIO = 1.15
"""A validation error that ends above so many times its lowest has over-fitted or diverged; our choice."""
MOSTLY = 0.8
"""Of the undisturbed rollouts that must succeed for retries among them to count as false alarms: where more fail, a
retry that led to success may well have been needed. Our choice."""
ERROR = "validation/action_error_rad"
SPARK = 40  # columns


def report(path: Path) -> Report:
    """Training data and progress of a run, its success rate, and whether its energy is calibrated.

    Raises:
        DataError: something in the run is missing or damaged.
    """
    from ebt_recipes.training.checkpoint import load_run
    from ebt_recipes.training.curves import load_curves
    from ebt_recipes.uncertainty.conformal import Calibration

    run, curves = load_run(path), load_curves(path)
    minutes, finished = _spent(path)
    calibration = Calibration.load(path / CALIBRATION) if (path / CALIBRATION).is_file() else None
    tallies = {name: lines for name, lines in _tallies(path).items() if lines}
    checks = [_success(tallies), *_training(run, curves, finished), *_energy(calibration, tallies), _bench(run)]
    if run.contract.privileged:
        text = f"it needs {', '.join(run.contract.privileged)}, which only simulation provides"
        checks.append(Reason("privileged", Grade.DOUBTFUL, text, ", ".join(run.contract.privileged), "none"))
    title = f"{path.name}: {run.recipe.name}, {run.step} updates on {len(run.contract.episodes)} demonstrations"
    more = ["--calibrate", "100"] if calibration is None else ["-n", "20"]
    then = deploy(short_path(path), run.contract.bench, run.contract.task, run.contract.sim, more)
    rows = _rows(run, curves, minutes, calibration, path)
    clean = tallies.get("clean_with_retry", [])
    if successes(clean) < MOSTLY * len(clean):
        rows.insert(
            0, ("retried", f"{_retried_words(clean)}; too many of {len(clean)} failed to call these false alarms")
        )
    facts = _facts(run, minutes, finished, curves, tallies) | _calibration(calibration)
    return Report("run", title, checks, rows, then, facts)


def _spent(path: Path) -> tuple[float | None, bool | None]:
    """Minutes of training, and whether it finished; None where the run has no checkpoint to resume from."""
    from ebt_recipes.training.checkpoint import is_trained, load_tensors

    resume = path / "resume.safetensors"
    if not resume.is_file():
        return None, None
    return float(load_tensors(resume)[1].get("elapsed_s", "nan")) / 60, is_trained(path)


def _tallies(path: Path) -> dict[str, list[Line]]:
    """Rollouts of these weights beside the run, by name of their file."""
    return {file.stem: load_tally(file)[1] for file in sorted(path.parent.glob("*.jsonl")) if made_by(file, path)}


def _success(tallies: dict[str, list[Line]]) -> Reason:
    if lines := tallies.get("policy"):
        return rate_reason("success_rate", successes(lines), len(lines), "fresh scenes")
    if lines := tallies.get("calibrate"):
        return rate_reason("success_rate", successes(lines), len(lines), "calibration rollouts")
    return Reason(
        "success_rate",
        Grade.DOUBTFUL,
        "its success rate is unknown: no rollouts of it were found",
        None,
        "known",
    )


def _training(run: "Run", curves: "dict[str, Curve]", finished: bool | None) -> list[Reason]:
    number = len(run.contract.episodes)
    checks = [
        Reason(
            "demonstrations",
            graded(number, ENOUGH, FEW),
            f"it was trained on {number} demonstrations",
            number,
            f">= {ENOUGH}",
        )
    ]
    if finished is False:
        checks.append(
            Reason(
                "finished",
                Grade.DOUBTFUL,
                "its training was interrupted; ebt train ... --resume continues it",
                False,
                "yes",
            )
        )
    curve = curves.get(ERROR, [])
    if len(curve) < 2:
        text = "whether it converged is unknown: fewer than two validations are recorded"
        return [*checks, Reason("converged", Grade.DOUBTFUL, text, None, "two validations or more")]
    last_step, last = curve[-1]
    if not isfinite(last):
        text = "its training diverged: the validation error is not a number"
        return [*checks, Reason("converged", Grade.BAD, text, None, "a number")]
    known = [(step, value) for step, value in curve if isfinite(value)]
    before = [value for step, value in known if step <= (1 - LAST) * last_step] or [known[0][1]]
    fell, lowest = 1 - last / before[-1], min(value for _, value in known)
    if last > OVERFIT_RATIO * lowest:
        text = f"its validation error ended at {last:.4f} rad, {last / lowest:.2f} times its lowest: over-fitted"
        return [*checks, Reason("converged", Grade.DOUBTFUL, text, round(last / lowest, 3), f"<= {OVERFIT_RATIO}")]
    state = "it was still improving" if fell > FALLING else "it had converged"
    text = f"{state}: validation error {last:.4f} rad, {abs(fell):.0%} {'less' if fell >= 0 else 'more'} over the last quarter"
    return [*checks, Reason("converged", Grade(int(fell > FALLING)), text, round(fell, 4), f"<= {FALLING:.0%}")]


def _energy(calibration: "Calibration | None", tallies: dict[str, list[Line]]) -> list[Reason]:
    from ebt_recipes.uncertainty.conformal import needed

    if calibration is None:
        text = "its energy is not calibrated: there are no alarms and no retries"
        return [Reason("calibration", Grade.DOUBTFUL, text, 0, "calibrated")]
    text = f"its energy is calibrated on {calibration.n} successful rollouts: at most {calibration.rate} false alarms"
    enough = f">= {needed(calibration.alpha)} counted"
    checks = [Reason("calibration", Grade.GOOD, text, calibration.counted, enough)]
    if not calibration.enough:
        checks = [Reason("calibration", Grade.DOUBTFUL, calibration.warning, calibration.counted, enough)]
    clean = tallies.get("clean_with_retry", [])
    if clean and successes(clean) >= MOSTLY * len(clean):
        from ebt_recipes.loop.interval import wilson

        false = _retried_successes(clean)
        low, high = wilson(false, successes(clean))
        grade = Grade(int(low > calibration.alpha))
        text = f"{_retried_words(clean)} ({interval(low, high)}); {calibration.rate} are guaranteed"
        checks.append(Reason("false_alarms", grade, text, false, f"<= {calibration.rate}"))
    return checks


def _retried_successes(clean: list[Line]) -> int:
    """Undisturbed rollouts that were retried and succeeded. Whether one that failed was retried needlessly is unknown:
    the guarantee covers rollouts like the successful ones, and an alarm in a failure is correct."""
    return sum(line["attempts"] > 1 and line["outcome"] == "success" for line in clean)


def _retried_words(clean: list[Line]) -> str:
    return f"{_retried_successes(clean)} of {successes(clean)} undisturbed successes were retried"


def _bench(run: "Run") -> Reason:
    """Whether the bench that it was trained for still has the same spec."""
    from ebt_hardware.config.benches import load_bench

    name = run.contract.bench
    try:
        differs = run.contract.mismatches(load_bench(name).spec)
    except ConfigError:
        return Reason("bench", Grade.DOUBTFUL, f"its bench {name!r} is unknown here", name, "known")
    if not differs:
        return Reason("bench", Grade.GOOD, f"it fits the bench {name}", name, "joints, cameras and rate alike")
    words = ", ".join(f"{what} {trained} in the run, {current} on the bench" for what, trained, current in differs)
    return Reason(
        "bench", Grade.BAD, f"it does not fit the bench {name}: {words}", words, "joints, cameras and rate alike"
    )


def _rows(
    run: "Run", curves: "dict[str, Curve]", minutes: float | None, calibration: "Calibration | None", path: Path
) -> list[tuple[str, str]]:
    contract, recipe = run.contract, run.recipe
    cameras = ", ".join(f"{name} {height}x{width}" for name, (height, width) in contract.cameras.items())
    weights = path / "model.safetensors"
    made = datetime.fromtimestamp(weights.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    rows = [
        (label, _curve(curves[name]))
        for label, name in (("train loss", "training/loss"), ("error, rad", ERROR))
        if curves.get(name)
    ]
    rows += [
        ("trained", f"{made}{'' if minutes is None else f', {minutes:.1f} minutes'}, seed {recipe.training.seed}"),
        ("task", f"{contract.task} on {contract.bench}{' (SIM)' if contract.sim else ''} at {contract.rate_hz:g} Hz"),
        ("observes", f"{cameras}; joint {', '.join(recipe.observe.joints)}"),
        (
            "acts",
            f"{len(contract.joints)} joints, chunks of {recipe.act.horizon} ticks, {recipe.act.execute} of them run before the next plan",
        ),
        ("objective", f"{recipe.objective.kind}, {recipe.objective.default_steps} steps a plan"),
        (
            "network",
            f"{sum(w.numel() for w in run.model.parameters())} weights, {recipe.model.layers} layers of {recipe.model.width}",
        ),
        (
            "weights",
            f"{weights.stat().st_size / 1e6:.1f} MB, sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}",
        ),
    ]
    if calibration is not None:
        rows.append(
            (
                "threshold",
                f"{calibration.k:.1f} standard deviations above the mean of {calibration.n - calibration.counted} rollouts, "
                f"calibrated on {calibration.counted} others",
            )
        )
    return rows


def _curve(curve: "Curve") -> str:
    values = [value for _, value in curve]
    lowest = min(filter(isfinite, values), default=float("nan"))
    return f"{values[0]:8.4g} {widgets.spark(values, SPARK).plain} {values[-1]:.4g} (lowest {lowest:.4g})"


def _facts(
    run: "Run",
    minutes: float | None,
    finished: bool | None,
    curves: "dict[str, Curve]",
    tallies: dict[str, list[Line]],
) -> dict[str, Any]:
    contract = run.contract
    found: dict[str, Any] = {
        "run": str(run.path),
        "recipe": run.recipe.name,
        "objective": run.recipe.objective.kind,
        "updates": run.step,
        "finished": finished,
        "minutes": None if minutes is None else round(minutes, 3),
        "parameters": sum(weights.numel() for weights in run.model.parameters()),
        "task": contract.task,
        "bench": contract.bench,
        "sim": contract.sim,
        "joints": list(contract.joints),
        "cameras": [f"{name} {height}x{width}" for name, (height, width) in contract.cameras.items()],
        "privileged": list(contract.privileged),
        "rate_hz": contract.rate_hz,
        "horizon": run.recipe.act.horizon,
        "execute": run.recipe.act.execute,
        "episodes_learnt_from": len(contract.episodes),
        "weights_sha256": hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest(),
        "curves": {
            name: [list(point) for point in curve] for name, curve in curves.items() if name in ("training/loss", ERROR)
        },
        "tallies": {name: {"rollouts": len(lines), "successes": successes(lines)} for name, lines in tallies.items()},
    }
    return found


def _calibration(calibration: "Calibration | None") -> dict[str, Any]:
    if calibration is None:
        return {}
    checks = {
        "rollouts": calibration.n,
        "counted": calibration.counted,
        "false_alarms_per_episode": calibration.alpha,
        "spreads_allowed": round(calibration.k, 3),
        "trusted": calibration.enough,
    }
    return {"calibration": checks}
