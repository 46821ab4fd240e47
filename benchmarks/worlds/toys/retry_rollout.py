"""Rolls a policy out on many worlds, each monitored and retried by the product's state machine.

Shapes: N worlds, J joints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.uncertainty.detectors import DetectorScorer
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.rollout_results import RATE_HZ, RetriedRollouts
from benchmarks.worlds.toys.batch_planner import BatchPlanner
from benchmarks.worlds.toys.scored_rollout import DisturbedWorlds
from benchmarks.worlds.toys.toy import Toy, View
from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.retry.back_off import BackOffRules
from ebt_recipes.retry.retry import Retrying, RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Trigger
from ebt_recipes.uncertainty.scores import PlanContext

JOINTS = ("across", "up", "gripper")
"""Joints of toys, in their order; the first two where there is no gripper."""
CLEAR = 0.15
"""Distance of the back-off from the contact, in widths of the field."""
SHORTCUT = 0.02
"""Poses nearer than this count as the same."""


class WorldPolicy:
    """Implements `ReplanningAgent` for one world; its plans are made between its decisions, in a batch with the others."""

    def __init__(self, planner: BatchPlanner, row: int) -> None:
        self._planner = planner
        self._row = row
        self._execute = planner.plan_sampler.act.execute

    def reset(self, observation: Observation) -> None:
        self._last_step = step_of(observation) - 1
        self._schedule(step_of(observation), SamplingBudget())
        self._new_decision: Decision | None = None

    def due_budget(self, now: int) -> SamplingBudget | None:
        """Sampling budget for step `now`; None where no plan is due or the arm backs off."""
        return self._budget if now >= self._due and self._last_step == now - 1 else None

    def set_plan(self, now: int, scores: tuple[float, ...], energies: tuple[float, ...]) -> None:
        """Receive the scores and energies of a new plan."""
        self._new_decision = Decision(
            np.zeros(0, np.float32), Actor.POLICY, score=scores[0], scores=scores, trace=energies
        )
        self._schedule(now + self._execute, SamplingBudget())

    def replan(self, observation: Observation, hold: Joints, budget: SamplingBudget) -> None:
        self._planner.discard(self._row)
        self._last_step = step_of(observation)
        self._schedule(self._last_step + 1, budget)

    def commit(self, observation: Observation) -> None:
        self._last_step = step_of(observation)
        end = int(self._planner.planned_at[self._row]) + self._planner.chunk.shape[1] - 1
        self._schedule(max(end, self._last_step + 1), SamplingBudget())

    def decide(self, observation: Observation) -> Decision:
        self._last_step = step_of(observation)
        decision = self._new_decision or Decision(np.zeros(0, np.float32), Actor.POLICY)
        self._new_decision = None
        return replace(decision, action=self._planner.goals(np.array([self._row]), self._last_step)[0])

    def _schedule(self, due: int, budget: SamplingBudget) -> None:
        self._due, self._budget = due, budget


def step_of(observation: Observation) -> int:
    return round(observation.time_s * RATE_HZ)


def retry_rules(toy: type[Toy], rule: Rule, retries: int, go_on: bool = False) -> RetryRules:
    """The product's rules in the toy's lengths and at most its speed."""
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


class PolicyBatch:
    """A monitored policy for every world, and one planner for all."""

    def __init__(
        self, planner: BatchPlanner, scorer: DetectorScorer, triggers: Sequence[Trigger], rules: RetryRules, view: View
    ) -> None:
        worlds = len(triggers)
        names = JOINTS[: view.position.shape[1]]
        spec = BenchSpec("toy", names, {}, RATE_HZ, sim=True, lockstep=True)
        self._planner, self._scorer, self._plan_sets = planner, scorer, scorer.new_plan_sets(worlds)
        self._policies = [WorldPolicy(planner, row) for row in range(worlds)]
        self._agents = [
            Retrying(follower, trigger, spec, rules) for follower, trigger in zip(self._policies, triggers, strict=True)
        ]
        self.retries = np.zeros(worlds, np.int64)
        self.gave_up = np.zeros(worlds, np.bool_)
        for row, agent in enumerate(self._agents):
            agent.reset(_observed(view.position[row], 0))

    def make_due_plans(self, view: View, live: NDArray[np.int64], now: int) -> None:
        """Make all plans that are due, in one batch per sampling budget."""
        groups: dict[SamplingBudget, list[int]] = {}
        for row in live.tolist():
            if (budget := self._policies[row].due_budget(now)) is not None:
                groups.setdefault(budget, []).append(row)
        for budget, members in groups.items():
            rows = np.array(members)
            plan_context = self._planner.plan(view, rows, now, budget)
            scores = self._scorer(plan_context, rows, self._plan_sets)
            self._distribute(rows, now, plan_context, scores)

    def act(self, view: View, live: NDArray[np.int64], now: int) -> NDArray[np.float32]:
        """Goals [N, J]."""
        goal = view.position.copy()
        for row in live.tolist():
            decision = self._agents[row].decide(_observed(view.position[row], now))
            goal[row] = decision.action
            self.retries[row] += any(event.kind in ("hold", "commit") for event in decision.events)
            self.gave_up[row] |= decision.done
        return goal

    def _distribute(
        self, rows: NDArray[np.int64], now: int, plan_context: PlanContext, scores: Mapping[str, Tensor]
    ) -> None:
        scores = np.stack([scores[name].numpy() for name in self._scorer.names], axis=1).tolist()
        traces = plan_context.samples.energies.tolist()
        for row, row_scores, trace in zip(rows.tolist(), scores, traces, strict=True):
            self._policies[row].set_plan(now, tuple(row_scores), tuple(trace))


@torch.no_grad()
def retry(
    toy: type[Toy], scorer: DetectorScorer, case: Case, triggers: Sequence[Trigger], rules: RetryRules
) -> RetriedRollouts:
    """One rollout per seed, each with its own trigger."""
    scene = DisturbedWorlds(toy, case)
    policies = PolicyBatch(
        BatchPlanner(scorer.plan_sampler, case.seeds), scorer, triggers, rules, scene.worlds.observe()
    )
    lasted = np.zeros(len(case.seeds), np.int64)
    now = 0
    while len(live := np.flatnonzero(~scene.worlds.over)):
        view = scene.observe(now)
        policies.make_due_plans(view, live, now)
        scene.step(policies.act(view, live, now))
        lasted[live] += 1
        now += 1
    return RetriedRollouts(scene.worlds.succeeded, lasted, scene.disturbed_at, policies.retries, policies.gave_up)


def _observed(position: Joints, step: int) -> Observation:
    still = np.zeros_like(position)
    time_s = step / RATE_HZ
    return Observation(time_s, time_s, position, still, still, {})
