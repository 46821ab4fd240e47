"""Watches, disturbs and helps policies on the twin through the product's own loop, over worker processes."""

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.uncertainty.detectors import FeatureEncoder
from benchmarks.uncertainty.failures import Case, Failure
from benchmarks.worlds.watched import RATE_HZ, Retried, Watched
from ebt_data.agent import Agent
from ebt_data.step import Outcome
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.disturbance import DisturbanceRule
from ebt_recipes.loop.rollouts import Rollout, Trial, roll_out, worker_pool
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.policy.energy_policy import Pace, PlanFollower
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import LockstepPlanner
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.monitor import Trigger
from ebt_recipes.uncertainty.scores import PlanContext

KINDS = {"drop": "knock", "nudge": "nudge", "moved_goal": "move_goal"}
"""What `failures.py` asks for, as the twin's tasks name it."""
FIRST = np.zeros(1, np.int64)


@dataclass(frozen=True)
class Watching:
    """Implements `MakeAgent`: a policy whose every plan is looked at."""

    run: Run
    eyes: FeatureEncoder
    trigger: Trigger | None = None
    """What makes it try again; None: nothing does."""
    rules: RetryRules | None = None

    def __call__(self, bench: Bench, seed: int) -> Agent:
        memory = self.eyes.remember(1)

        def judge(_: tuple[str, ...], plan_context: PlanContext) -> dict[str, Tensor]:
            return self.eyes(plan_context, FIRST, memory)

        descent = PlanService(self.run, bench.spec, self.eyes.names, judge)
        pace = Pace(bench.spec.rate_hz, self.run.recipe.act.execute, Effort(), self.run.recipe.observe.past_actions)
        planner = LockstepPlanner(descent, descent.latency_s)
        policy = PlanFollower(planner, pace, seed, "+".join(self.eyes.names))
        return policy if self.trigger is None else Retrying(policy, self.trigger, bench.spec, self.rules)


def watch(trial: Trial, case: Case) -> Watched:
    """One rollout on each seed; `trial.make` is a `Watching` without a trigger."""
    make = trial.make
    assert isinstance(make, Watching), "nobody watches"
    found = roll_all(trial, case, [None] * len(case.seeds))
    execute = make.run.recipe.act.execute
    plans = -(-round(trial.limits.max_seconds * RATE_HZ) // execute)
    scores = {name: np.full((len(found), plans), np.nan) for name in make.eyes.names}
    for row, rollout in enumerate(found):
        for index, name in enumerate(make.eyes.names):
            values = [score[index] for _, _, score in rollout.plans]
            scores[name][row, : len(values)] = values[:plans]
    late_s = min(rollout.plans[0][0] for rollout in found)
    return Watched(*_ends(found), scores, execute, late_s)


def retry(trial: Trial, case: Case, triggers: Sequence[Trigger], rules: RetryRules) -> Retried:
    """The same, helped."""
    make = trial.make
    assert isinstance(make, Watching), "nobody watches"
    found = roll_all(replace(trial, make=replace(make, rules=rules)), case, triggers)
    said = [[kind for _, kind, _ in rollout.events] for rollout in found]
    retries = np.array([sum(kind in ("hold", "commit") for kind in kinds) for kinds in said])
    return Retried(*_ends(found), retries, np.array(["give_up" in kinds for kinds in said]))


def roll_all(trial: Trial, case: Case, triggers: Sequence[Trigger | None]) -> list[Rollout]:
    """In the order of the seeds, each with its own trigger and moment."""
    whole = pickle.dumps(trial)  # as bytes: torch would share each tensor through a file of its own
    rules = [_rule(case.failure, moment) for moment in case.moments.tolist()]
    workers = min(os.cpu_count() or 1, len(case.seeds))
    with worker_pool(workers) as pool:
        return list(pool.map(_one, [whole] * len(case.seeds), case.seeds, rules, triggers))


def _rule(failure: Failure, moment: int) -> DisturbanceRule | None:
    if failure.kind is None:
        return None
    return DisturbanceRule(KINDS[failure.kind], moment / RATE_HZ, once_lifted=failure.kind == "drop")


def _one(whole: bytes, seed: int, rule: DisturbanceRule | None, trigger: Trigger | None) -> Rollout:
    trial = pickle.loads(whole)
    with torch.no_grad():
        return roll_out(replace(trial, make=replace(trial.make, trigger=trigger), disturbance=rule), seed)


def _ends(found: Sequence[Rollout]) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """Success, length in steps, and the step of the first observation after it was disturbed."""
    began = [
        next((time_s + 1 / RATE_HZ for time_s, kind, _ in rollout.events if kind == "disturbance"), np.inf)
        for rollout in found
    ]
    return (
        np.array([rollout.outcome is Outcome.SUCCESS for rollout in found]),
        np.array([rollout.steps for rollout in found]),
        np.round(np.array(began) * RATE_HZ),
    )
