"""How well scores of plans predict failure: task by detector, all at one promised false-alarm rate.

    .venv/bin/python -m benchmarks.uncertainty.detection [--tasks peg_insert sort] [--seeds 1] [--ablate]
        [--out detection.json]

A positive is an episode that did not succeed, disturbed or not. Each detector is calibrated on the successes among
`--calibration` undisturbed rollouts of the policy by the product's code: conformal thresholds over time, several
scores (`a+b`) under one rate, `elapsed` by the duration of successes. Then, on fresh seeds
(benchmarks/uncertainty/failures.py):

    AUROC      of the largest exceedance of an episode; `early`: up to the median length of successes, so that a
               longer duration does not reveal a failure
    balanced   accuracy: the mean of the shares of failures with an alarm and of successes without one
    called     failures with an alarm; in disturbed ones only alarms after the disturbance is observable count
    false      undisturbed successes with an alarm
    timely     as balanced, but a detected failure counts only with the share of its episode that was left (FIPER's TWA)
    delay      median over detected failures: steps since the disturbance; for natural ones the share of the episode, %
    recovered  disturbed episodes that succeeded: how many of them had an alarm

Each kind of failure is compared with undisturbed successes; `all` takes all failures and all successes. `needs` is
what a detector requires: the energy, or the policy's network.

A policy with fewer than 20 natural failures is evaluated a second time with a quarter of its updates. `--ablate` adds
a policy whose energy was trained with neither level nor negatives; its level has no meaning, so its step size is
fixed."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.policies.train_policy import train
from benchmarks.table import head, line
from benchmarks.uncertainty.alarms import MIN_SUCCESSES, OVERALL, Metrics, evaluate, fit
from benchmarks.uncertainty.detectors import FIT_OBSERVATIONS, fit_detectors
from benchmarks.uncertainty.failures import FINAL, NATURAL, TUNING, Case, Study, applicable_failures
from benchmarks.worlds.arena import Arena
from benchmarks.worlds.registry import ARENAS
from benchmarks.worlds.rollout_results import median_length
from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.uncertainty.conformal import names
from ebt_recipes.uncertainty.scores import NEED_ENERGY, SCORES

WITHOUT_LEVEL: Mapping[str, Any] = {"level_weight": 0.0, "negative_weight": 0.0, "stride": "fixed"}
MIN_FAILURES = 20
"""Natural failures needed to evaluate a policy by them."""
BASELINE_DETECTORS = ("stac", "spread", "rnd", "logpzo")
COMBINED = ("excess+strangeness", "excess+neighbour", "energy+slope")
WITH_ELAPSED = (*COMBINED, "energy", "neighbour", "rnd")
DETECTORS = (*SCORES, *BASELINE_DETECTORS, *COMBINED, *(f"{name}+elapsed" for name in WITH_ELAPSED))


@dataclass(frozen=True)
class Settings:
    """Sizes and rates of the benchmark."""

    study: Study
    updates: int
    calibration: int
    rollouts: int
    alpha: float
    window: int
    detectors: tuple[str, ...]


@dataclass(frozen=True)
class PolicyReport:
    """Results of one policy."""

    task: str
    policy: str
    seed: int
    updates: int
    usual: int
    """Median number of steps of its successes."""
    calibrated_on: int
    """Successes."""
    success: dict[str, float]
    """By failure."""
    figures: dict[str, dict[str, Metrics]]
    """By detector, then by failure."""


def needs(name: str) -> str:
    """What a detector requires: `energy`, `network` or nothing."""
    scores = set(names(name))
    if NEED_ENERGY & scores:
        return "energy"
    return "network" if "strangeness" in scores else ""


def assess(
    arena: Arena, plan_sampler: PlanSampler, demonstrated: Observations, settings: Settings, facts: tuple[str, int, int]
) -> PolicyReport | None:
    """Evaluate one policy; `facts`: its name, training seed and updates. None: too few successes to calibrate."""
    scores = tuple(dict.fromkeys(score for detector in settings.detectors for score in names(detector)))
    score_rollouts = partial(arena.roll_out_scored, fit_detectors(plan_sampler, demonstrated, scores))
    calibration = score_rollouts(Case(settings.study.calibrate(settings.calibration)))
    if calibration.succeeded.sum() < MIN_SUCCESSES:
        sys.stderr.write(f"{arena.name}, {facts[0]}: fewer than {MIN_SUCCESSES} successes to calibrate on\n")
        return None
    median_steps = median_length(calibration)
    tests = {
        failure.name: score_rollouts(Case(settings.study.detect(failure, settings.rollouts), failure, median_steps))
        for failure in applicable_failures(arena.disturbances)
    }
    alarms = {name: fit(name, calibration, settings.alpha, settings.window) for name in settings.detectors}
    figures = {name: evaluate(alarm, tests, median_steps) for name, alarm in alarms.items()}
    success = {name: float(rollouts.succeeded.mean()) for name, rollouts in tests.items()}
    return PolicyReport(arena.name, *facts, median_steps, int(calibration.succeeded.sum()), success, figures)


def assess_training(task: str, seed: int, settings: Settings, ablate: bool) -> list[PolicyReport]:
    """Train each policy once and evaluate it."""
    arena = ARENAS[task]()
    energy = METHODS[ENERGY].objective
    objectives = {ENERGY: energy, "without level": {**energy, **WITHOUT_LEVEL}}
    results = []
    for name, objective in objectives.items():
        if name != ENERGY and not ablate:
            continue
        start_s = time.perf_counter()
        quarter_updates = settings.updates // 4
        policies, demonstrated = train(arena, objective, seed, (quarter_updates, settings.updates), FIT_OBSERVATIONS)
        report = assess(arena, policies[settings.updates], demonstrated, settings, (name, seed, settings.updates))
        results.append(report)
        if report is not None and next(iter(report.figures.values()))[NATURAL.name].failures < MIN_FAILURES:
            results.append(
                assess(
                    arena,
                    policies[quarter_updates],
                    demonstrated,
                    settings,
                    (f"{name}, quarter", seed, quarter_updates),
                )
            )
        sys.stderr.write(f"{task}, {name}, seed {seed}: {time.perf_counter() - start_s:.0f} s\n")
    return [report for report in results if report is not None]


def print_report(report: PolicyReport) -> None:
    """Write one policy's two tables to stdout: overall, and by failure."""
    write = sys.stdout.write
    metrics = next(iter(report.figures.values()))
    failures = [name for name in metrics if name != OVERALL]
    counts = ", ".join(f"{name} {metrics[name].failures} ({100 * report.success[name]:.0f} %)" for name in failures)
    write(f"\n{report.task}, {report.policy}, training seed {report.seed}, {report.updates} updates: ")
    write(f"calibrated on {report.calibrated_on} successes of {report.usual} steps; failures (success): {counts}\n")
    columns = ("AUROC", "early", "balanced", "called", "false", "timely", "delay", "recovered")
    write(head(["score", "needs", *columns]))
    for name, results in report.figures.items():
        write(line([name, needs(name), *cells(results[OVERALL])]))
    write(head(["AUROC, early, called, delay, recovered", *failures]))
    for name, results in report.figures.items():
        write(line([name, *(by_failure(results[kind], kind == NATURAL.name) for kind in failures)]))
    sys.stdout.flush()


def cells(figures: Metrics) -> tuple[str, ...]:
    """Cells of the first table."""
    shares = (figures.balanced, figures.called, figures.false_alarms, figures.timely)
    return (
        f"{figures.auroc:.3f}",
        f"{figures.early_auroc:.3f}",
        *(f"{100 * value:.1f}" for value in shares),
        f"{100 * figures.delay_share:.0f} %",
        f"{figures.recovered_alarmed}/{figures.recovered}",
    )


def by_failure(figures: Metrics, natural: bool) -> str:
    """A cell of the second table."""
    delay = f"{100 * figures.delay_share:.0f} %" if natural else f"{figures.delay:.0f}"
    recovered = "" if natural else f", {figures.recovered_alarmed}/{figures.recovered}"
    return f"{figures.auroc:.3f}, {figures.early_auroc:.3f}, {100 * figures.called:.0f}, {delay}{recovered}"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=["peg_insert", "sort"], help=f"of {', '.join(ARENAS)}")
    parser.add_argument("--detectors", nargs="*", default=list(DETECTORS), help="some rows only")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each policy")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--calibration", type=int, default=250, help="rollouts; only the successes count")
    parser.add_argument("--rollouts", type=int, default=400, help="to test on, of each failure")
    parser.add_argument("--alpha", type=float, default=0.05, help="promised false alarms per episode")
    parser.add_argument("--window", type=int, default=3, help="plans averaged")
    parser.add_argument("--ablate", action="store_true", help="also a policy without level and negatives")
    parser.add_argument("--tuning", action="store_true", help="on seeds below 10000, which are for trying things out")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(1)
    study = TUNING if args.tuning else FINAL
    detectors = tuple(args.detectors)
    settings = Settings(study, args.updates, args.calibration, args.rollouts, args.alpha, args.window, detectors)
    results: list[PolicyReport] = []
    for task in args.tasks:
        for seed in range(args.seeds):
            for report in assess_training(task, seed, settings, args.ablate):
                print_report(report)
                results.append(report)
        if args.out:
            facts = {
                "torch": torch.__version__,
                "machine": platform.processor() or platform.machine(),
                "load_average": os.getloadavg(),
                "plan": asdict(settings),
                "blocks": [asdict(report) for report in results],
            }
            args.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
