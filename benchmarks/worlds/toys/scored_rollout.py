"""Rolls a policy out on many worlds under disturbances and keeps the scores of every plan.

Shapes: N worlds, J joints, P plans.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.uncertainty.detectors import DetectorScorer
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.rollout_results import ScoredRollouts
from benchmarks.worlds.toys.batch_planner import BatchPlanner
from benchmarks.worlds.toys.toy import Toy, View
from ebt_recipes.objectives.plan_sampler import SamplingBudget


class DisturbedWorlds:
    """Disturbed worlds, and undisturbed copies that show when a disturbance is first observable."""

    def __init__(self, toy: type[Toy], case: Case) -> None:
        self.worlds, self._undisturbed = toy(), toy()
        self.worlds.reset(case.seeds)
        self._undisturbed.reset(case.seeds)
        self._kind = case.failure.kind
        self._moments = case.moments
        self.disturbed_at = np.full(len(case.seeds), np.inf)
        """[N] step at which the disturbance is first observable; inf: not yet."""

    def observe(self, now: int) -> View:
        """Start the disturbances that are due at step `now` and observe."""
        if self._kind is not None and (due := self._moments == now).any():
            self.worlds.disturb(self._kind, due)
        view, calm = self.worlds.observe(), self._undisturbed.observe()
        differs = (view.position != calm.position).any(axis=1) | (view.state != calm.state).any(axis=1)
        self.disturbed_at[differs & np.isinf(self.disturbed_at)] = now
        return view

    def step(self, goal: NDArray[np.float32]) -> None:
        self.worlds.step(goal)
        self._undisturbed.step(goal)


@torch.no_grad()
def roll_out_scored(toy: type[Toy], scorer: DetectorScorer, case: Case) -> ScoredRollouts:
    """One rollout per seed; all plan at the same steps."""
    scene = DisturbedWorlds(toy, case)
    planner, execute = BatchPlanner(scorer.plan_sampler, case.seeds), scorer.plan_sampler.act.execute
    lasted = np.zeros(len(case.seeds), np.int64)
    scores = {name: np.full((len(case.seeds), -(-toy.longest // execute)), np.nan) for name in scorer.names}
    plan_sets = scorer.new_plan_sets(len(case.seeds))
    now = 0
    while len(live := np.flatnonzero(~scene.worlds.over)):
        view = scene.observe(now)
        if now % execute == 0:
            plan_context = planner.plan(view, live, now, SamplingBudget())
            for name, values in scorer(plan_context, live, plan_sets).items():
                scores[name][live, now // execute] = values.numpy()
        goal = view.position.copy()
        goal[live] = planner.goals(live, now)
        scene.step(goal)
        lasted[live] += 1
        now += 1
    return ScoredRollouts(scene.worlds.succeeded, lasted, scene.disturbed_at, scores, execute)
