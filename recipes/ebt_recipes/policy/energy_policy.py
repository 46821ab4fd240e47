"""A trained energy as an agent: it keeps a plan, follows it by the clock, and has the next one made beside the loop.

EnergyPolicy(run: Run, spec: BenchSpec, planner: "lockstep" | "thread" | None = None, seed: int = 0,
             steps: int | None = None, score: str = "energy"): Agent
    .replan(observation, hold, effort)   drop the plan in use and think anew
    .commit(observation)                 follow the plan in use to its end, then think anew
    .close()
PlanFollower(planner, pace: Pace, seed, score): the same without torch
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import LockstepPlanner, Plan, Planner, Request, ThreadPlanner
from ebt_recipes.training.checkpoint import Run


@dataclass(frozen=True)
class Pace:
    """How plans are asked for and followed."""

    rate_hz: float
    execute: int
    """Ticks between two requests."""
    effort: Effort
    past: int = 0
    """Ticks of past actions that a plan is told."""


class PlanFollower:
    """Acts from the newest plan that exists, indexed by the time since its observation, and never waits for one."""

    def __init__(self, planner: Planner, pace: Pace, seed: int = 0, score: str = "energy") -> None:
        self._planner = planner
        self._pace = pace
        self._seed = seed
        self.score = score
        """What a monitor is given: a name in `scores.SCORES`, or several joined by `+`."""
        self._scores = score.split("+")
        self._episode = -1
        self._asked = 0
        self._due_s = 0.0
        self._plan: Plan | None = None
        self._hold: Joints = np.zeros(0, dtype=np.float32)
        self._past: deque[Joints] = deque(maxlen=pace.past)

    def reset(self, observation: Observation) -> None:
        """Forget every plan; until the first new one, hold the pose measured now."""
        self._episode += 1
        self._asked = 0
        self._due_s = observation.time_s
        self._past.extend([observation.position.copy()] * self._pace.past)
        self._forget(observation.position)

    def replan(self, observation: Observation, hold: Joints, effort: Effort) -> None:
        """Drop the plan in use, think anew about `observation`, and hold `hold` until that is done."""
        self._forget(hold)
        self._ask(observation, effort)

    def commit(self, observation: Observation) -> None:
        """Follow the plan in use to its last row, and ask for the next only then; whatever was asked is forgotten."""
        if self._plan is not None:
            self._planner.reset()
            end_s = self._plan.made_for_s + (len(self._plan.chunk) - 1) / self._pace.rate_hz
            self._due_s = max(observation.time_s, end_s)

    def decide(self, observation: Observation) -> Decision:
        half_tick_s = 0.5 / self._pace.rate_hz
        if observation.time_s >= self._due_s - half_tick_s:
            self._ask(observation, self._pace.effort)
        plan = self._planner.newest(observation.time_s) or self._plan
        if plan is None:
            self._past.append(self._hold)
            return Decision(self._hold, Actor.POLICY)
        fresh = plan is not self._plan
        self._plan = plan
        scores = tuple(plan.scores[name] for name in self._scores)
        action = plan.action(observation.time_s, self._pace.rate_hz)
        self._past.append(action)
        return Decision(
            action=action,
            actor=Actor.POLICY,
            energy=plan.energy,
            score=scores[0],
            scores=scores if len(scores) > 1 else (),
            steps_used=plan.slopes,
            trace=plan.trace if fresh else (),
            plan_age_s=observation.time_s - plan.made_for_s,
            latency_s=plan.latency_s,
        )

    @property
    def plan(self) -> Plan | None:
        """The plan in use; None before the first."""
        return self._plan

    def close(self) -> None:
        """End the planner's thread, where it has one."""
        self._planner.close()

    def _forget(self, hold: Joints) -> None:
        self._planner.reset()
        self._plan = None
        self._hold = hold.copy()

    def _ask(self, observation: Observation, effort: Effort) -> None:
        self._due_s = observation.time_s + self._pace.execute / self._pace.rate_hz
        draw = np.random.SeedSequence((self._seed, self._episode, self._asked)).generate_state(1, np.uint64)
        self._asked += 1
        past = np.stack(self._past) if self._past else None
        self._planner.submit(Request(observation, int(draw[0]) >> 1, effort, self._plan, past))


class EnergyPolicy(PlanFollower):
    """Receding-horizon descent on a trained energy."""

    def __init__(
        self,
        run: Run,
        spec: BenchSpec,
        planner: Literal["lockstep", "thread"] | None = None,
        seed: int = 0,
        steps: int | None = None,
        score: str = "energy",
    ) -> None:
        """Think in lock-step or in a thread, by default as the bench keeps time; `steps` overrides the recipe's.

        `score` is what a monitor will watch, one name of `scores.SCORES` or several joined by `+`.

        Raises:
            ConfigError: the run was trained for another bench; the message is a table of what differs.
            MisuseError: the run cannot give that score.
        """
        kind = planner or ("lockstep" if spec.lockstep else "thread")
        within_s = run.recipe.act.within_s if kind == "thread" else 0.0
        self._descent = descent = PlanService(run, spec, tuple(score.split("+")), within_s=within_s)
        making: Planner = LockstepPlanner(descent, descent.latency_s) if kind == "lockstep" else ThreadPlanner(descent)
        pace = Pace(spec.rate_hz, run.recipe.act.execute, Effort(steps), run.recipe.observe.past_actions)
        super().__init__(making, pace, seed, score)

    def compile(self) -> str:
        """Make plans faster, before the first; how much, or why not."""
        return self._descent.compile()
