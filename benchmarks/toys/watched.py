"""Rolls a policy out on many worlds while something happens to them, and keeps what every plan scored.

Shapes: N worlds, J joints, P plans.
"""

from collections.abc import Sequence

import numpy as np
import torch
from detectors import Eyes
from failures import Failure
from numpy.typing import NDArray
from watched import Watched

from ebt_recipes.planner import Effort
from toys.desk import Desk
from toys.toy import Toy, View


class Scene:
    """Worlds to which something is done, and their twins to which nothing is, for as long as both look the same."""

    def __init__(self, toy: type[Toy], seeds: Sequence[int], failure: Failure, usual: int) -> None:
        self.worlds, self._calm = toy(), toy()
        self.worlds.reset(seeds)
        self._calm.reset(seeds)
        self._kind = failure.kind
        self._moments = failure.moments(seeds, usual)
        self.began = np.full(len(seeds), np.inf)
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
def watch(toy: type[Toy], eyes: Eyes, seeds: Sequence[int], failure: Failure, usual: int = 0) -> Watched:
    """One rollout on each seed, all planning at the same steps; `usual` is what `Failure.moments` asks for."""
    scene = Scene(toy, seeds, failure, usual)
    desk, execute = Desk(eyes.thinker, seeds), eyes.thinker.act.execute
    lasted = np.zeros(len(seeds), np.int64)
    scores = {name: np.full((len(seeds), -(-toy.longest // execute)), np.nan) for name in eyes.names}
    memory = eyes.remember(len(seeds))
    now = 0
    while len(live := np.flatnonzero(~scene.worlds.over)):
        view = scene.look(now)
        if now % execute == 0:
            thought = desk.plan(view, live, now, Effort())
            for name, values in eyes(thought, live, memory).items():
                scores[name][live, now // execute] = values.numpy()
        goal = view.position.copy()
        goal[live] = desk.goals(live, now)
        scene.step(goal)
        lasted[live] += 1
        now += 1
    return Watched(scene.worlds.succeeded, lasted, scene.began, scores, execute)
