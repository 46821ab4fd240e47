"""Rollouts on the twin with scores, disturbances and retries, through the product's loop in worker processes."""

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.uncertainty.detectors import DetectorScorer
from benchmarks.uncertainty.failures import Case, Failure
from benchmarks.worlds.rollout_results import RATE_HZ, RetriedRollouts, ScoredRollouts
from ebt_data.agent import Agent
from ebt_data.step import Outcome
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.disturbance import DisturbanceRule
from ebt_recipes.loop.rollouts import Rollout, Trial, roll_out, worker_pool
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.energy_policy import ExecutionConfig, PlanFollower
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import LockstepPlanner
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.monitor import Trigger
from ebt_recipes.uncertainty.scores import PlanContext

TWIN_DISTURBANCES = {"drop": "knock", "nudge": "nudge", "moved_goal": "move_goal"}
"""Disturbances of the twin's tasks, by the names in `failures.py`."""
FIRST_ROW = np.zeros(1, np.int64)


@dataclass(frozen=True)
class MakeScoredPolicy:
    """Implements `MakeAgent`: a policy whose plans are all scored."""

    run: Run
    scorer: DetectorScorer
    trigger: Trigger | None = None
    """Starts its retries; None: no retries."""
    rules: RetryRules | None = None

    def __call__(self, bench: Bench, seed: int) -> Agent:
        plan_sets = self.scorer.new_plan_sets(1)

        def score_plan(_: tuple[str, ...], plan_context: PlanContext) -> dict[str, Tensor]:
            return self.scorer(plan_context, FIRST_ROW, plan_sets)

        descent = PlanService(self.run, bench.spec, self.scorer.names, score_plan)
        pace = ExecutionConfig(
            bench.spec.rate_hz, self.run.recipe.act.execute, SamplingBudget(), self.run.recipe.observe.past_actions
        )
        planner = LockstepPlanner(descent, descent.latency_s)
        policy = PlanFollower(planner, pace, seed, "+".join(self.scorer.names))
        return policy if self.trigger is None else Retrying(policy, self.trigger, bench.spec, self.rules)


def roll_out_scored(trial: Trial, case: Case) -> ScoredRollouts:
    """One rollout per seed; `trial.make` is a `MakeScoredPolicy` without a trigger."""
    make = trial.make
    assert isinstance(make, MakeScoredPolicy), "the agent of this trial has no scores"
    rollouts = roll_all(trial, case, [None] * len(case.seeds))
    execute = make.run.recipe.act.execute
    plans = -(-round(trial.limits.max_seconds * RATE_HZ) // execute)
    scores = {name: np.full((len(rollouts), plans), np.nan) for name in make.scorer.names}
    for row, rollout in enumerate(rollouts):
        for index, name in enumerate(make.scorer.names):
            values = [score[index] for _, _, score in rollout.plans]
            scores[name][row, : len(values)] = values[:plans]
    latency_s = min(rollout.plans[0][0] for rollout in rollouts)
    return ScoredRollouts(*_outcomes(rollouts), scores, execute, latency_s)


def retry(trial: Trial, case: Case, triggers: Sequence[Trigger], rules: RetryRules) -> RetriedRollouts:
    """One rollout per seed with retries."""
    make = trial.make
    assert isinstance(make, MakeScoredPolicy), "the agent of this trial has no scores"
    rollouts = roll_all(replace(trial, make=replace(make, rules=rules)), case, triggers)
    event_kinds = [[kind for _, kind, _ in rollout.events] for rollout in rollouts]
    retries = np.array([sum(kind in ("hold", "commit") for kind in kinds) for kinds in event_kinds])
    return RetriedRollouts(*_outcomes(rollouts), retries, np.array(["give_up" in kinds for kinds in event_kinds]))


def roll_all(trial: Trial, case: Case, triggers: Sequence[Trigger | None]) -> list[Rollout]:
    """Rollouts in the order of the seeds, each with its own trigger and moment."""
    pickled = pickle.dumps(trial)  # as bytes: torch would share each tensor through its own file
    rules = [_rule(case.failure, moment) for moment in case.moments.tolist()]
    workers = min(os.cpu_count() or 1, len(case.seeds))
    with worker_pool(workers) as pool:
        return list(pool.map(_roll_one, [pickled] * len(case.seeds), case.seeds, rules, triggers))


def _rule(failure: Failure, moment: int) -> DisturbanceRule | None:
    if failure.kind is None:
        return None
    return DisturbanceRule(TWIN_DISTURBANCES[failure.kind], moment / RATE_HZ, once_lifted=failure.kind == "drop")


def _roll_one(pickled: bytes, seed: int, rule: DisturbanceRule | None, trigger: Trigger | None) -> Rollout:
    trial = pickle.loads(pickled)
    with torch.no_grad():
        return roll_out(replace(trial, make=replace(trial.make, trigger=trigger), disturbance=rule), seed)


def _outcomes(rollouts: Sequence[Rollout]) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """Success, length in steps, and the step of the first observation after it was disturbed."""
    disturbed_at = [
        next((time_s + 1 / RATE_HZ for time_s, kind, _ in rollout.events if kind == "disturbance"), np.inf)
        for rollout in rollouts
    ]
    return (
        np.array([rollout.outcome is Outcome.SUCCESS for rollout in rollouts]),
        np.array([rollout.steps for rollout in rollouts]),
        np.round(np.array(disturbed_at) * RATE_HZ),
    )
