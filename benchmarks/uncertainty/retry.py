"""What trying again is worth: task by failure, by who says when, and by what the arm does then.

    .venv/bin/python -m benchmarks.uncertainty.retry [--tasks peg_insert sort] [--score NAME] [--baselines NAME ...] [--out FILE]

The same worlds with the same luck, and the same time in all, once without and once with retries; until the first retry
both rollouts are one and the same. Who says when:

    ours       the score `--score`, calibrated as in benchmarks/uncertainty/detection.py
    random     at random times, as often in one episode as ours was in some other
    baselines  the scores `--baselines`, which need no energy
    oracle     someone who knows: two plans after what was done to the world could be seen; where nothing was done, only in
               episodes that fail, when a usual success would be over; again after twice that time where it fails

    rescued    of the episodes that fail without, those that succeed with
    harmed     of the episodes that succeed without, those that fail with
    retries    for each episode
    false      share of the episodes that succeed without, in which there was one all the same
    gave up    handed over after the last retry, which counts as a failure

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

from benchmarks.policies.methods import METHODS, OURS
from benchmarks.policies.train_policy import train
from benchmarks.table import head, line
from benchmarks.uncertainty.alarms import FEWEST_SUCCESSES, Alarm, fit
from benchmarks.uncertainty.detectors import MEMORIES, FeatureEncoder, fit_encoder
from benchmarks.uncertainty.failures import FAILURES, FINAL, TUNING, Case, Failure, Study, suffered
from benchmarks.uncertainty.triggers import Scheduled, oracle_times, random_times
from benchmarks.worlds.arena import Arena
from benchmarks.worlds.registry import ARENAS
from benchmarks.worlds.watched import RATE_HZ, Retried, usual_length
from ebt_recipes.loop.interval import wilson
from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.retry.retry import Rule
from ebt_recipes.uncertainty.conformal import names
from ebt_recipes.uncertainty.monitor import Trigger

RULES: tuple[Rule, ...] = get_args(Rule)
OURS_SCORE, BASELINES = "excess+strangeness+elapsed", ("spread+elapsed", "elapsed")
"""Chosen on tuning seeds, as benchmarks/uncertainty/detection.py has them: the best with an energy, and the best two without."""
REACTION = 2
"""Plans after which an oracle steps in."""
LUCK = 7
"""Seed of the random times."""


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    study: Study
    updates: tuple[int, ...]
    """Of the policies that are tried."""
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
    """One failure, trigger and rule."""

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
    """Successes with them."""
    rescued: int
    harmed: int
    retries: float
    """For each episode."""
    false_retries: float
    """Share of those that succeed without, in which there was one."""
    gave_up: int


def compare(alone: Retried, helped: Retried) -> dict[str, Any]:
    """What retries changed, episode by episode, as `Row` has it."""
    well = alone.succeeded
    return {
        "n": len(well),
        "alone": int(well.sum()),
        "helped": int(helped.succeeded.sum()),
        "rescued": int((~well & helped.succeeded).sum()),
        "harmed": int((well & ~helped.succeeded).sum()),
        "retries": float(helped.retries.mean()),
        "false_retries": float((helped.retries[well] > 0).mean()) if well.any() else float("nan"),
        "gave_up": int(helped.gave_up.sum()),
    }


@dataclass(frozen=True)
class Trial:
    """One policy, its eyes and its alarms, in front of any failure."""

    arena: Arena
    eyes: FeatureEncoder
    alarms: dict[str, Alarm]
    """By whose they are: `ours`, and every baseline's under its name."""
    usual: int
    retries: int
    go_on: bool

    def face(
        self, failure: Failure, seeds: range, rules: Sequence[Rule]
    ) -> Iterator[tuple[str, str, Retried, Retried]]:
        """Who, rule, alone and helped, for all of them."""
        run = partial(self._run, failure, seeds)
        alone = run("hold", "ours", self._watching("ours", len(seeds)), retries=0)
        lasted_s = (alone.lasted / RATE_HZ).tolist()
        for rule in rules:
            helped = run(rule, "ours", self._watching("ours", len(seeds)), self.retries)
            yield "ours", rule, alone, helped
            chance = self._scheduled(random_times(helped.retries.tolist(), lasted_s, LUCK))
            yield "random", rule, alone, run(rule, "ours", chance, self.retries)
            for name in self.alarms:
                if name != "ours":
                    yield name, rule, alone, run(rule, name, self._watching(name, len(seeds)), self.retries)
            yield "oracle", rule, alone, run(rule, "ours", self._scheduled(self._known(alone)), self.retries)

    def _run(
        self, failure: Failure, seeds: range, rule: Rule, who: str, triggers: Sequence[Trigger], retries: int
    ) -> Retried:
        """Roll out with triggers that read the scores of `who`."""
        eyes = replace(self.eyes, names=self.alarms[who].scores)
        rules = self.arena.rules(rule, retries, self.go_on)
        return self.arena.retry(eyes, Case(seeds, failure, self.usual), triggers, rules)

    def _watching(self, who: str, count: int) -> list[Trigger]:
        return [self.alarms[who].thresholds.monitor() for _ in range(count)]

    def _scheduled(self, times_s: Sequence[Sequence[float]]) -> list[Trigger]:
        return [Scheduled(self.alarms["ours"].thresholds.monitor(), each) for each in times_s]

    def _known(self, alone: Retried) -> list[list[float]]:
        """When an oracle steps in."""
        usual_s, reaction_s = self.usual / RATE_HZ, REACTION * self.eyes.plan_sampler.act.execute / RATE_HZ
        return [
            oracle_times(began / RATE_HZ, not well, lasted / RATE_HZ, usual_s, reaction_s, self.retries)
            for began, well, lasted in zip(alone.began, alone.succeeded, alone.lasted, strict=True)
        ]


def try_out(task: str, seed: int, plan: Plan) -> list[Row]:
    """One training, as it stood at several moments, in front of every failure."""
    arena = ARENAS[task]()
    policies, seen = train(arena, METHODS[OURS].objective, seed, plan.updates, MEMORIES)
    rows = []
    for updates in plan.updates:
        title = f"{task}, seed {seed}, {updates} updates"
        if (trial := prepare(arena, policies[updates], seen, plan)) is None:
            sys.stderr.write(f"{title}: fewer than {FEWEST_SUCCESSES} successes to calibrate on\n")
            continue
        announce(title)
        for failure in suffered(arena.disturbances, plan.failures):
            seeds = plan.study.retry(failure, plan.rollouts)
            for who, rule, alone, helped in trial.face(failure, seeds, plan.rules):
                rows.append(Row(task, seed, updates, failure.name, who, rule, **compare(alone, helped)))
                show(rows[-1])
    return rows


def prepare(arena: Arena, plan_sampler: PlanSampler, seen: Observations, plan: Plan) -> Trial | None:
    """Calibrate all scores on the same undisturbed rollouts; None where too few of them succeed."""
    detectors = {"ours": plan.score} | {name: name for name in plan.baselines}
    eyes = fit_encoder(
        plan_sampler, seen, tuple(dict.fromkeys(score for each in detectors.values() for score in names(each)))
    )
    calibration = arena.watch(eyes, Case(plan.study.calibrate(plan.calibration)), retried=True)
    if calibration.succeeded.sum() < FEWEST_SUCCESSES:
        return None
    alarms = {who: fit(each, calibration, plan.alpha, plan.window) for who, each in detectors.items()}
    return Trial(arena, eyes, alarms, usual_length(calibration), plan.retries, plan.go_on)


def announce(title: str) -> None:
    """The head of a table on stdout."""
    shares = ("alone, %", "helped, %", "rescued, %", "harmed, %")
    sys.stdout.write(head([title, "who", "rule", *shares, "retries", "false", "gave up"]))


def show(row: Row) -> None:
    """A line of the table on stdout."""
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


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=["peg_insert", "sort"], help=f"of {', '.join(ARENAS)}")
    parser.add_argument(
        "--score", default=OURS_SCORE, help="what is watched, as benchmarks/uncertainty/detection.py names it"
    )
    parser.add_argument("--baselines", nargs="*", default=list(BASELINES), help="likewise, without an energy")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=RULES)
    failures = [failure.name for failure in FAILURES]
    parser.add_argument("--failures", nargs="*", default=failures, choices=failures)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each policy")
    parser.add_argument("--updates", type=int, nargs="*", default=[2000, 500], help="of the policies that are tried")
    parser.add_argument("--calibration", type=int, default=250, help="rollouts; only the successes count")
    parser.add_argument("--rollouts", type=int, default=150, help="of each failure, trigger and rule")
    parser.add_argument("--alpha", type=float, default=0.02, help="promised false alarms per episode")
    parser.add_argument("--window", type=int, default=3, help="plans averaged")
    parser.add_argument("--retries", type=int, default=5, help="in an episode; the next rise gives up")
    parser.add_argument("--go-on", action="store_true", help="after them on, unwatched, in place of giving up")
    parser.add_argument("--tuning", action="store_true", help="on seeds below 10000, which are for trying things out")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    return parser.parse_args(arguments)


def main() -> None:
    given = asked()
    torch.set_num_threads(1)
    plan = Plan(
        study=TUNING if given.tuning else FINAL,
        updates=tuple(given.updates),
        calibration=given.calibration,
        rollouts=given.rollouts,
        alpha=given.alpha,
        window=given.window,
        retries=given.retries,
        go_on=given.go_on,
        score=given.score,
        baselines=tuple(given.baselines),
        rules=tuple(given.rules),
        failures=tuple(given.failures),
    )
    rows: list[Row] = []
    for task in given.tasks:
        for seed in range(given.seeds):
            begun_s = time.perf_counter()
            rows += try_out(task, seed, plan)
            sys.stderr.write(f"{task}, seed {seed}: {time.perf_counter() - begun_s:.0f} s\n")
        if given.out:
            facts = {
                "torch": torch.__version__,
                "machine": platform.processor() or platform.machine(),
                "load_average": os.getloadavg(),
                "plan": asdict(plan),
                "rows": [asdict(row) for row in rows],
            }
            given.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
