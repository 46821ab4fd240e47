"""Rolls a policy out on many worlds while something happens to them, and keeps what every plan scored.

Shapes: N worlds, J joints, P plans.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.uncertainty.detectors import FeatureEncoder
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.toys.desk import Desk
from benchmarks.worlds.toys.toy import Toy, View
from benchmarks.worlds.watched import Watched
from ebt_recipes.objectives.plan_sampler import Effort


class Scene:
    """Worlds to which something is done, and their twins to which nothing is, for as long as both look the same."""

    def __init__(self, toy: type[Toy], case: Case) -> None:
        self.worlds, self._calm = toy(), toy()
        self.worlds.reset(case.seeds)
        self._calm.reset(case.seeds)
        self._kind = case.failure.kind
        self._moments = case.moments
        self.began = np.full(len(case.seeds), np.inf)
        """[N] step at which the first trace could be seen; inf: not yet."""

    def look(self, now: int) -> View:
        """What is seen at step `now`, at which what is due begins."""
        if self._kind is not None and (due := self._moments == now).any():
            self.worlds.disturb(self._kind, due)
        view, calm = self.worlds.observe(), self._calm.observe()
        differs = (view.position != calm.position).any(axis=1) | (view.state != calm.state).any(axis=1)
        self.began[differs & np.isinf(self.began)] = now
        return view

    def step(self, goal: NDArray[np.float32]) -> None:
        self.worlds.step(goal)
        self._calm.step(goal)


@torch.no_grad()
def watch(toy: type[Toy], eyes: FeatureEncoder, case: Case) -> Watched:
    """One rollout on each seed, all planning at the same steps."""
    scene = Scene(toy, case)
    desk, execute = Desk(eyes.plan_sampler, case.seeds), eyes.plan_sampler.act.execute
    lasted = np.zeros(len(case.seeds), np.int64)
    scores = {name: np.full((len(case.seeds), -(-toy.longest // execute)), np.nan) for name in eyes.names}
    memory = eyes.remember(len(case.seeds))
    now = 0
    while len(live := np.flatnonzero(~scene.worlds.over)):
        view = scene.look(now)
        if now % execute == 0:
            plan_context = desk.plan(view, live, now, Effort())
            for name, values in eyes(plan_context, live, memory).items():
                scores[name][live, now // execute] = values.numpy()
        goal = view.position.copy()
        goal[live] = desk.goals(live, now)
        scene.step(goal)
        lasted[live] += 1
        now += 1
    return Watched(scene.worlds.succeeded, lasted, scene.began, scores, execute)
