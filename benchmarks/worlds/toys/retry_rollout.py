"""Rolls a policy out on many worlds, each watched and made to try again by the product's own state machine.

Shapes: N worlds, J joints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.uncertainty.detectors import FeatureEncoder
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.toys.desk import Desk
from benchmarks.worlds.toys.toy import Toy, View
from benchmarks.worlds.toys.watched import Scene
from benchmarks.worlds.watched import RATE_HZ, Retried
from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.retry.back_off import BackOffRules
from ebt_recipes.retry.retry import Retrying, RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Trigger
from ebt_recipes.uncertainty.scores import PlanContext

JOINTS = ("across", "up", "gripper")
"""Of toys, in their order; the first two where there is no gripper."""
CLEAR = 0.15
"""Way out of the contact, in widths of the field."""
SHORTCUT = 0.02
"""Poses so near to each other are one."""


class Follower:
    """Implements `Replanning` for one world, whose plans are made between its decisions, together with the others'."""

    def __init__(self, desk: Desk, row: int) -> None:
        self._desk = desk
        self._row = row
        self._execute = desk.plan_sampler.act.execute

    def reset(self, observation: Observation) -> None:
        self._heard = step_of(observation) - 1
        self._ask(step_of(observation), Effort())
        self._fresh: Decision | None = None

    def wanted(self, now: int) -> Effort | None:
        """How hard to think for step `now`; None where no plan is due, or the arm is being led back."""
        return self._effort if now >= self._due and self._heard == now - 1 else None

    def give(self, now: int, scores: tuple[float, ...], energies: tuple[float, ...]) -> None:
        """The desk has a new plan for it."""
        self._fresh = Decision(np.zeros(0, np.float32), Actor.POLICY, score=scores[0], scores=scores, trace=energies)
        self._ask(now + self._execute, Effort())

    def replan(self, observation: Observation, hold: Joints, effort: Effort) -> None:
        self._desk.forget(self._row)
        self._heard = step_of(observation)
        self._ask(self._heard + 1, effort)

    def commit(self, observation: Observation) -> None:
        self._heard = step_of(observation)
        end = int(self._desk.made[self._row]) + self._desk.chunk.shape[1] - 1
        self._ask(max(end, self._heard + 1), Effort())

    def decide(self, observation: Observation) -> Decision:
        self._heard = step_of(observation)
        decision = self._fresh or Decision(np.zeros(0, np.float32), Actor.POLICY)
        self._fresh = None
        return replace(decision, action=self._desk.goals(np.array([self._row]), self._heard)[0])

    def _ask(self, due: int, effort: Effort) -> None:
        self._due, self._effort = due, effort


def step_of(observation: Observation) -> int:
    return round(observation.time_s * RATE_HZ)


def retry_rules(toy: type[Toy], rule: Rule, retries: int, go_on: bool = False) -> RetryRules:
    """The product's rules in the toy's lengths, no faster than it moves."""
    arm, gripper = min(toy.speed[:2]) * RATE_HZ, toy.speed[-1] * RATE_HZ
    rules = BackOffRules(
        clear_rad=CLEAR, speed_rad_s=arm, open_rad_s=gripper, open_s=0.2, shortcut_rad=SHORTCUT, error_rad=1.0
    )
    return RetryRules(
        retries=retries,
        go_on=go_on,
        rule=rule,
        hold_s=2 / RATE_HZ,
        longest_s=toy.longest / RATE_HZ,
        back_off=rules,
    )


class Crew:
    """A watched follower for every world, and one desk for all."""

    def __init__(
        self, desk: Desk, eyes: FeatureEncoder, triggers: Sequence[Trigger], rules: RetryRules, view: View
    ) -> None:
        worlds = len(triggers)
        names = JOINTS[: view.position.shape[1]]
        spec = BenchSpec("toy", names, {}, RATE_HZ, sim=True, lockstep=True)
        self._desk, self._eyes, self._memory = desk, eyes, eyes.remember(worlds)
        self._followers = [Follower(desk, row) for row in range(worlds)]
        self._agents = [
            Retrying(follower, trigger, spec, rules)
            for follower, trigger in zip(self._followers, triggers, strict=True)
        ]
        self.retries = np.zeros(worlds, np.int64)
        self.gave_up = np.zeros(worlds, np.bool_)
        for row, agent in enumerate(self._agents):
            agent.reset(_observed(view.position[row], 0))

    def think(self, view: View, live: NDArray[np.int64], now: int) -> None:
        """Make all plans that are due, those that take equal effort together."""
        groups: dict[Effort, list[int]] = {}
        for row in live.tolist():
            if (effort := self._followers[row].wanted(now)) is not None:
                groups.setdefault(effort, []).append(row)
        for effort, some in groups.items():
            rows = np.array(some)
            plan_context = self._desk.plan(view, rows, now, effort)
            found = self._eyes(plan_context, rows, self._memory)
            self._hand_out(rows, now, plan_context, found)

    def act(self, view: View, live: NDArray[np.int64], now: int) -> NDArray[np.float32]:
        """Goals [N, J]."""
        goal = view.position.copy()
        for row in live.tolist():
            decision = self._agents[row].decide(_observed(view.position[row], now))
            goal[row] = decision.action
            self.retries[row] += any(event.kind in ("hold", "commit") for event in decision.events)
            self.gave_up[row] |= decision.done
        return goal

    def _hand_out(
        self, rows: NDArray[np.int64], now: int, plan_context: PlanContext, found: Mapping[str, Tensor]
    ) -> None:
        scores = np.stack([found[name].numpy() for name in self._eyes.names], axis=1).tolist()
        traces = plan_context.samples.energies.tolist()
        for row, own, trace in zip(rows.tolist(), scores, traces, strict=True):
            self._followers[row].give(now, tuple(own), tuple(trace))


@torch.no_grad()
def retry(toy: type[Toy], eyes: FeatureEncoder, case: Case, triggers: Sequence[Trigger], rules: RetryRules) -> Retried:
    """One rollout on each seed, with a trigger of its own."""
    scene = Scene(toy, case)
    crew = Crew(Desk(eyes.plan_sampler, case.seeds), eyes, triggers, rules, scene.worlds.observe())
    lasted = np.zeros(len(case.seeds), np.int64)
    now = 0
    while len(live := np.flatnonzero(~scene.worlds.over)):
        view = scene.look(now)
        crew.think(view, live, now)
        scene.step(crew.act(view, live, now))
        lasted[live] += 1
        now += 1
    return Retried(scene.worlds.succeeded, lasted, scene.began, crew.retries, crew.gave_up)


def _observed(position: Joints, step: int) -> Observation:
    still = np.zeros_like(position)
    time_s = step / RATE_HZ
    return Observation(time_s, time_s, position, still, still, {})
