"""How well what can be watched of a plan foretells failure: task by detector, all at one promised false-alarm rate.

    .venv/bin/python -m benchmarks.uncertainty.detection [--tasks peg_insert sort] [--seeds 1] [--ablate] [--out detection.json]

A positive is an episode that did not succeed, whatever was done to it. Each detector is calibrated on the successes
among `--calibration` undisturbed rollouts of the policy, by the product: conformal bands over time, several scores (`a+b`)
under one rate, `elapsed` by how long successes take. Then, on fresh seeds (benchmarks/uncertainty/failures.py):

    AUROC      of the largest exceedance of an episode; `early`: over no longer than a usual success lasts, so that
               failures are not told by lasting longer
    balanced   accuracy: the mean of the shares of called failures and of uncalled successes
    called     failures with an alarm, of disturbed ones only from when the disturbance could be seen
    false      undisturbed successes with an alarm
    timely     as balanced, but a called failure earns only the share of its episode that was left (FIPER's TWA)
    delay      median, of called failures: steps since the disturbance; of natural ones the share of the episode, in %
    recovered  disturbed episodes that succeeded: how many of them had an alarm

By failure, the failures are held against undisturbed successes; `all` takes all failures and all successes. `needs` says
what a detector cannot do without: the energy, or the policy's network.

A policy that fails by itself fewer than 20 times gets one beside it with a quarter of its updates. With `--ablate` also
one whose energy was given neither level nor negatives; as its level means nothing, it takes steps of fixed size.
"""

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

from benchmarks.policies.methods import METHODS, OURS
from benchmarks.policies.train_policy import train
from benchmarks.table import head, line
from benchmarks.uncertainty.alarms import FEWEST_SUCCESSES, OVERALL, Figures, fit, judge
from benchmarks.uncertainty.detectors import MEMORIES, fit_encoder
from benchmarks.uncertainty.failures import FINAL, NATURAL, TUNING, Case, Study, suffered
from benchmarks.worlds.arena import Arena
from benchmarks.worlds.registry import ARENAS
from benchmarks.worlds.watched import usual_length
from ebt_recipes.model.batch import Observations
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.uncertainty.conformal import names
from ebt_recipes.uncertainty.scores import NEED_ENERGY, SCORES

WITHOUT_LEVEL: Mapping[str, Any] = {"level_weight": 0.0, "negative_weight": 0.0, "stride": "fixed"}
FEWEST = 20
"""Natural failures with which a policy is worth judging by them."""
BESIDE = ("stac", "spread", "rnd", "logpzo")
TOGETHER = ("excess+strangeness", "excess+neighbour", "energy+slope")
OR_TOO_LONG = (*TOGETHER, "energy", "neighbour", "rnd")
DETECTORS = (*SCORES, *BESIDE, *TOGETHER, *(f"{name}+elapsed" for name in OR_TOO_LONG))


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    study: Study
    updates: int
    calibration: int
    rollouts: int
    alpha: float
    window: int
    detectors: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """All that was found out about one policy."""

    task: str
    policy: str
    seed: int
    updates: int
    usual: int
    """Steps of a usual success."""
    calibrated_on: int
    """Successes."""
    success: dict[str, float]
    """By failure."""
    figures: dict[str, dict[str, Figures]]
    """By detector, then by failure."""


def needs(name: str) -> str:
    """What a detector cannot do without."""
    scores = set(names(name))
    if NEED_ENERGY & scores:
        return "energy"
    return "network" if "strangeness" in scores else ""


def assess(
    arena: Arena, plan_sampler: PlanSampler, seen: Observations, plan: Plan, facts: tuple[str, int, int]
) -> Block | None:
    """Everything about one policy; `facts`: its name, training seed and updates. None: it succeeds too seldom."""
    scores = tuple(dict.fromkeys(score for detector in plan.detectors for score in names(detector)))
    look = partial(arena.watch, fit_encoder(plan_sampler, seen, scores))
    calibration = look(Case(plan.study.calibrate(plan.calibration)))
    if calibration.succeeded.sum() < FEWEST_SUCCESSES:
        sys.stderr.write(f"{arena.name}, {facts[0]}: fewer than {FEWEST_SUCCESSES} successes to calibrate on\n")
        return None
    usual = usual_length(calibration)
    tests = {
        failure.name: look(Case(plan.study.detect(failure, plan.rollouts), failure, usual))
        for failure in suffered(arena.disturbances)
    }
    alarms = {name: fit(name, calibration, plan.alpha, plan.window) for name in plan.detectors}
    figures = {name: judge(alarm, tests, usual) for name, alarm in alarms.items()}
    success = {name: float(watched.succeeded.mean()) for name, watched in tests.items()}
    return Block(arena.name, *facts, usual, int(calibration.succeeded.sum()), success, figures)


def blocks(task: str, seed: int, plan: Plan, ablate: bool) -> list[Block]:
    """One training of each policy, and what it gives."""
    arena = ARENAS[task]()
    ours = METHODS[OURS].objective
    objectives = {OURS: ours, "without level": {**ours, **WITHOUT_LEVEL}}
    found = []
    for name, objective in objectives.items():
        if name != OURS and not ablate:
            continue
        begun_s = time.perf_counter()
        quarter = plan.updates // 4
        policies, seen = train(arena, objective, seed, (quarter, plan.updates), MEMORIES)
        whole = assess(arena, policies[plan.updates], seen, plan, (name, seed, plan.updates))
        found.append(whole)
        if whole is not None and next(iter(whole.figures.values()))[NATURAL.name].failures < FEWEST:
            found.append(assess(arena, policies[quarter], seen, plan, (f"{name}, quarter", seed, quarter)))
        sys.stderr.write(f"{task}, {name}, seed {seed}: {time.perf_counter() - begun_s:.0f} s\n")
    return [block for block in found if block is not None]


def show(block: Block) -> None:
    """One policy's two tables on stdout: overall, and by failure."""
    write = sys.stdout.write
    some = next(iter(block.figures.values()))
    kinds = [name for name in some if name != OVERALL]
    counts = ", ".join(f"{name} {some[name].failures} ({100 * block.success[name]:.0f} %)" for name in kinds)
    write(f"\n{block.task}, {block.policy}, training seed {block.seed}, {block.updates} updates: ")
    write(f"calibrated on {block.calibrated_on} successes of {block.usual} steps; failures (success): {counts}\n")
    columns = ("AUROC", "early", "balanced", "called", "false", "timely", "delay", "recovered")
    write(head(["watched", "needs", *columns]))
    for name, found in block.figures.items():
        write(line([name, needs(name), *cells(found[OVERALL])]))
    write(head(["AUROC, early, called, delay, recovered", *kinds]))
    for name, found in block.figures.items():
        write(line([name, *(by_failure(found[kind], kind == NATURAL.name) for kind in kinds)]))
    sys.stdout.flush()


def cells(figures: Figures) -> tuple[str, ...]:
    """Of the first table."""
    shares = (figures.balanced, figures.called, figures.false_alarms, figures.timely)
    return (
        f"{figures.auroc:.3f}",
        f"{figures.early_auroc:.3f}",
        *(f"{100 * value:.1f}" for value in shares),
        f"{100 * figures.delay_share:.0f} %",
        f"{figures.recovered_alarmed}/{figures.recovered}",
    )


def by_failure(figures: Figures, natural: bool) -> str:
    """A cell of the second table."""
    delay = f"{100 * figures.delay_share:.0f} %" if natural else f"{figures.delay:.0f}"
    recovered = "" if natural else f", {figures.recovered_alarmed}/{figures.recovered}"
    return f"{figures.auroc:.3f}, {figures.early_auroc:.3f}, {100 * figures.called:.0f}, {delay}{recovered}"


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
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
    given = asked()
    torch.set_num_threads(1)
    study = TUNING if given.tuning else FINAL
    detectors = tuple(given.detectors)
    plan = Plan(study, given.updates, given.calibration, given.rollouts, given.alpha, given.window, detectors)
    found: list[Block] = []
    for task in given.tasks:
        for seed in range(given.seeds):
            for block in blocks(task, seed, plan, given.ablate):
                show(block)
                found.append(block)
        if given.out:
            facts = {
                "torch": torch.__version__,
                "machine": platform.processor() or platform.machine(),
                "load_average": os.getloadavg(),
                "plan": asdict(plan),
                "blocks": [asdict(block) for block in found],
            }
            given.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
