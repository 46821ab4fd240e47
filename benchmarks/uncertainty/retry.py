"""How many failures retries rescue: task by failure, by trigger, and by what the arm does on a retry.

    .venv/bin/python -m benchmarks.uncertainty.retry [--tasks peg_insert sort] [--score NAME] [--baselines NAME ...]
        [--out FILE]

The same worlds with the same random draws and the same time limit, once without and once with retries; until the first
retry both rollouts are identical. Triggers (column `who`):

    ours       the score `--score`, calibrated as in benchmarks/uncertainty/detection.py
    random     at random times; the numbers of retries are those of `ours`, permuted over the episodes
    baselines  the scores `--baselines`, which need no energy
    oracle     two plans after the disturbance is observable; without a disturbance only in episodes that fail, at the
               median length of successes; again after twice that time where it fails

    alone      success without retries
    helped     success with retries
    rescued    of the episodes that fail without retries, those that succeed with them
    harmed     of the episodes that succeed without retries, those that fail with them
    retries    mean number per episode
    false      of the episodes that succeed without retries, the share that had one
    gave up    stopped after the last retry, which counts as a failure

In brackets are 95 % intervals (Wilson). The seeds are in benchmarks/uncertainty/failures.py.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.policies.train_policy import train
from benchmarks.table import head, line
from benchmarks.uncertainty.alarms import MIN_SUCCESSES, Alarm, fit
from benchmarks.uncertainty.detectors import FIT_OBSERVATIONS, DetectorScorer, fit_detectors
from benchmarks.uncertainty.failures import FAILURES, FINAL, TUNING, Case, Failure, Study, applicable_failures
from benchmarks.uncertainty.triggers import ScheduledTrigger, oracle_times, random_times
from benchmarks.worlds.arena import Arena
from benchmarks.worlds.registry import ARENAS
from benchmarks.worlds.rollout_results import RATE_HZ, RetriedRollouts, median_length
from ebt_recipes.loop.interval import wilson
from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.retry.retry import Rule
from ebt_recipes.uncertainty.conformal import names
from ebt_recipes.uncertainty.monitor import Trigger

RULES: tuple[Rule, ...] = get_args(Rule)
ENERGY_SCORE, BASELINES = "excess+strangeness+elapsed", ("spread+elapsed", "elapsed")
"""Chosen on tuning seeds with benchmarks/uncertainty/detection.py: the best with an energy and the best two without."""
REACTION_PLANS = 2
"""Plans after which the oracle retries."""
RANDOM_TIMES_SEED = 7
"""Seed of the random times."""


@dataclass(frozen=True)
class Settings:
    """Sizes, rates and rules of the benchmark."""

    study: Study
    updates: tuple[int, ...]
    """Of the evaluated policies."""
    calibration: int
    rollouts: int
    alpha: float
    window: int
    retries: int
    go_on: bool
    score: str
    baselines: tuple[str, ...]
    rules: tuple[Rule, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """Results of one failure, trigger and rule."""

    task: str
    seed: int
    updates: int
    failure: str
    who: str
    rule: str
    n: int
    alone: int
    """Successes without retries."""
    helped: int
    """Successes with retries."""
    rescued: int
    harmed: int
    retries: float
    """Mean per episode."""
    false_retries: float
    """Of the episodes that succeed without retries, the share that had one."""
    gave_up: int


def compare(alone: RetriedRollouts, helped: RetriedRollouts) -> dict[str, Any]:
    """What retries changed, episode by episode, as fields of `Row`."""
    succeeded = alone.succeeded
    return {
        "n": len(succeeded),
        "alone": int(succeeded.sum()),
        "helped": int(helped.succeeded.sum()),
        "rescued": int((~succeeded & helped.succeeded).sum()),
        "harmed": int((succeeded & ~helped.succeeded).sum()),
        "retries": float(helped.retries.mean()),
        "false_retries": float((helped.retries[succeeded] > 0).mean()) if succeeded.any() else float("nan"),
        "gave_up": int(helped.gave_up.sum()),
    }


@dataclass(frozen=True)
class CalibratedPolicy:
    """One policy with its scores and calibrated alarms."""

    arena: Arena
    scorer: DetectorScorer
    alarms: dict[str, Alarm]
    """By trigger: `ours`, and each baseline under its name."""
    median_steps: int
    retries: int
    go_on: bool

    def evaluate(
        self, failure: Failure, seeds: range, rules: Sequence[Rule]
    ) -> Iterator[tuple[str, str, RetriedRollouts, RetriedRollouts]]:
        """Trigger, rule, rollouts without and with retries, for every trigger and rule."""
        run = partial(self._run, failure, seeds)
        alone = run("hold", "ours", self._monitors("ours", len(seeds)), retries=0)
        lasted_s = (alone.lasted / RATE_HZ).tolist()
        for rule in rules:
            helped = run(rule, "ours", self._monitors("ours", len(seeds)), self.retries)
            yield "ours", rule, alone, helped
            random_triggers = self._scheduled(random_times(helped.retries.tolist(), lasted_s, RANDOM_TIMES_SEED))
            yield "random", rule, alone, run(rule, "ours", random_triggers, self.retries)
            for name in self.alarms:
                if name != "ours":
                    yield name, rule, alone, run(rule, name, self._monitors(name, len(seeds)), self.retries)
            yield "oracle", rule, alone, run(rule, "ours", self._scheduled(self._oracle_times(alone)), self.retries)

    def _run(
        self, failure: Failure, seeds: range, rule: Rule, who: str, triggers: Sequence[Trigger], retries: int
    ) -> RetriedRollouts:
        """Roll out with triggers that read the scores of `who`."""
        scorer = replace(self.scorer, names=self.alarms[who].scores)
        rules = self.arena.rules(rule, retries, self.go_on)
        return self.arena.retry(scorer, Case(seeds, failure, self.median_steps), triggers, rules)

    def _monitors(self, who: str, count: int) -> list[Trigger]:
        return [self.alarms[who].thresholds.monitor() for _ in range(count)]

    def _scheduled(self, times_s: Sequence[Sequence[float]]) -> list[Trigger]:
        return [ScheduledTrigger(self.alarms["ours"].thresholds.monitor(), each) for each in times_s]

    def _oracle_times(self, alone: RetriedRollouts) -> list[list[float]]:
        """When the oracle retries."""
        median_s, reaction_s = (
            self.median_steps / RATE_HZ,
            REACTION_PLANS * self.scorer.plan_sampler.act.execute / RATE_HZ,
        )
        return [
            oracle_times(disturbed_at / RATE_HZ, not succeeded, lasted / RATE_HZ, median_s, reaction_s, self.retries)
            for disturbed_at, succeeded, lasted in zip(alone.disturbed_at, alone.succeeded, alone.lasted, strict=True)
        ]


def evaluate_training(task: str, seed: int, settings: Settings) -> list[Row]:
    """Train once and evaluate the policy after each number of updates on every failure."""
    arena = ARENAS[task]()
    policies, demonstrated = train(arena, METHODS[ENERGY].objective, seed, settings.updates, FIT_OBSERVATIONS)
    rows = []
    for updates in settings.updates:
        title = f"{task}, seed {seed}, {updates} updates"
        if (policy := prepare(arena, policies[updates], demonstrated, settings)) is None:
            sys.stderr.write(f"{title}: fewer than {MIN_SUCCESSES} successes to calibrate on\n")
            continue
        print_head(title)
        for failure in applicable_failures(arena.disturbances, settings.failures):
            seeds = settings.study.retry(failure, settings.rollouts)
            for who, rule, alone, helped in policy.evaluate(failure, seeds, settings.rules):
                rows.append(Row(task, seed, updates, failure.name, who, rule, **compare(alone, helped)))
                print_row(rows[-1])
    return rows


def prepare(
    arena: Arena, plan_sampler: PlanSampler, demonstrated: Observations, settings: Settings
) -> CalibratedPolicy | None:
    """Calibrate all scores on the same undisturbed rollouts; None where too few of them succeed."""
    detectors = {"ours": settings.score} | {name: name for name in settings.baselines}
    scorer = fit_detectors(
        plan_sampler, demonstrated, tuple(dict.fromkeys(score for each in detectors.values() for score in names(each)))
    )
    calibration = arena.roll_out_scored(scorer, Case(settings.study.calibrate(settings.calibration)), retry_time=True)
    if calibration.succeeded.sum() < MIN_SUCCESSES:
        return None
    alarms = {who: fit(each, calibration, settings.alpha, settings.window) for who, each in detectors.items()}
    return CalibratedPolicy(arena, scorer, alarms, median_length(calibration), settings.retries, settings.go_on)


def print_head(title: str) -> None:
    """Write the header of a table to stdout."""
    shares = ("alone, %", "helped, %", "rescued, %", "harmed, %")
    sys.stdout.write(head([title, "who", "rule", *shares, "retries", "false", "gave up"]))


def print_row(row: Row) -> None:
    """Write a row of the table to stdout."""
    failed = row.n - row.alone
    counts = ((row.alone, row.n), (row.helped, row.n), (row.rescued, failed), (row.harmed, row.alone))
    shares = (rate(*count) for count in counts)
    often = (f"{row.retries:.2f}", f"{row.false_retries:.3f}", str(row.gave_up))
    sys.stdout.write(line([row.failure, row.who, row.rule, *shares, *often]))
    sys.stdout.flush()


def rate(count: int, of: int) -> str:
    """A share with its interval, in percent."""
    if not of:
        return "none"
    low, high = wilson(count, of)
    return f"{100 * count / of:.0f} ({100 * low:.0f}-{100 * high:.0f}) {count}/{of}"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=["peg_insert", "sort"], help=f"of {', '.join(ARENAS)}")
    parser.add_argument(
        "--score", default=ENERGY_SCORE, help="score of the monitor, as benchmarks/uncertainty/detection.py names it"
    )
    parser.add_argument("--baselines", nargs="*", default=list(BASELINES), help="the same, without an energy")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=RULES)
    failures = [failure.name for failure in FAILURES]
    parser.add_argument("--failures", nargs="*", default=failures, choices=failures)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each policy")
    parser.add_argument("--updates", type=int, nargs="*", default=[2000, 500], help="of the evaluated policies")
    parser.add_argument("--calibration", type=int, default=250, help="rollouts; only the successes count")
    parser.add_argument("--rollouts", type=int, default=150, help="of each failure, trigger and rule")
    parser.add_argument("--alpha", type=float, default=0.02, help="promised false alarms per episode")
    parser.add_argument("--window", type=int, default=3, help="plans averaged")
    parser.add_argument("--retries", type=int, default=5, help="in an episode; the next alarm gives up")
    parser.add_argument(
        "--go-on", action="store_true", help="after the last retry continue without a monitor instead of giving up"
    )
    parser.add_argument("--tuning", action="store_true", help="on seeds below 10000, which are for trying things out")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(1)
    settings = Settings(
        study=TUNING if args.tuning else FINAL,
        updates=tuple(args.updates),
        calibration=args.calibration,
        rollouts=args.rollouts,
        alpha=args.alpha,
        window=args.window,
        retries=args.retries,
        go_on=args.go_on,
        score=args.score,
        baselines=tuple(args.baselines),
        rules=tuple(args.rules),
        failures=tuple(args.failures),
    )
    rows: list[Row] = []
    for task in args.tasks:
        for seed in range(args.seeds):
            start_s = time.perf_counter()
            rows += evaluate_training(task, seed, settings)
            sys.stderr.write(f"{task}, seed {seed}: {time.perf_counter() - start_s:.0f} s\n")
        if args.out:
            facts = {
                "torch": torch.__version__,
                "machine": platform.processor() or platform.machine(),
                "load_average": os.getloadavg(),
                "plan": asdict(settings),
                "rows": [asdict(row) for row in rows],
            }
            args.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
