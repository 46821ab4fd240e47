"""A trained energy as an agent: it keeps a plan, follows it by the clock, and has the next one made beside the loop.

EnergyPolicy(run: Run, spec: BenchSpec, planner: "lockstep" | "thread" | None = None, seed: int = 0,
             steps: int | None = None, score: str = "energy"): Agent
    .replan(observation, hold, effort)   drop the plan in use and think anew
    .close()
PlanFollower(planner, pace: Pace, seed, score): the same without torch
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ebt_data.errors import MisuseError
from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.checkpoint import Run
from ebt_recipes.descent import Descent
from ebt_recipes.planner import Effort, LockstepPlanner, Plan, Planner, Request, ThreadPlanner

SCORES: Mapping[str, Callable[[Plan], float]] = {
    "energy": lambda plan: plan.energy,
    "tail": lambda plan: plan.tail_energy,
    "descent": lambda plan: plan.trace[-1] - plan.trace[0],
    "jump": lambda plan: plan.jump_rad,
    "elapsed": lambda plan: plan.made_for_s,
}
"""What the monitor may watch. `jump` and `elapsed` need no energy: they are what an energy score must beat."""


@dataclass(frozen=True)
class Pace:
    """How plans are asked for and followed."""

    rate_hz: float
    execute: int
    """Ticks between two requests."""
    effort: Effort


class PlanFollower:
    """Acts from the newest plan that exists, indexed by the time since its observation, and never waits for one."""

    def __init__(self, planner: Planner, pace: Pace, seed: int = 0, score: str = "energy") -> None:
        if score not in SCORES:
            raise MisuseError(f"No score is called {score!r}; known: {', '.join(SCORES)}")
        self._planner = planner
        self._pace = pace
        self._seed = seed
        self._score = SCORES[score]
        self._episode = -1
        self._asked = 0
        self._due_s = 0.0
        self._plan: Plan | None = None
        self._hold: Joints = np.zeros(0, dtype=np.float32)

    def reset(self, observation: Observation) -> None:
        """Forget every plan; until the first new one, hold the pose measured now."""
        self._episode += 1
        self._asked = 0
        self._due_s = observation.time_s
        self._forget(observation.position)

    def replan(self, observation: Observation, hold: Joints, effort: Effort) -> None:
        """Drop the plan in use, think anew about `observation`, and hold `hold` until that is done."""
        self._forget(hold)
        self._ask(observation, effort)

    def decide(self, observation: Observation) -> Decision:
        half_tick_s = 0.5 / self._pace.rate_hz
        if observation.time_s >= self._due_s - half_tick_s:
            self._ask(observation, self._pace.effort)
        plan = self._planner.newest(observation.time_s)
        if plan is None:
            return Decision(self._hold, Actor.POLICY)
        fresh = plan is not self._plan
        self._plan = plan
        return Decision(
            action=plan.action(observation.time_s, self._pace.rate_hz),
            actor=Actor.POLICY,
            energy=plan.energy,
            score=self._score(plan),
            steps_used=len(plan.trace) - 1,
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
        self._planner.submit(Request(observation, int(draw[0]) >> 1, effort, self._plan))


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

        Raises:
            ConfigError: the run was trained for another bench; the message is a table of what differs.
        """
        self._descent = descent = Descent(run, spec, tail=score == "tail")
        kind = planner or ("lockstep" if spec.lockstep else "thread")
        making: Planner = LockstepPlanner(descent, descent.latency_s) if kind == "lockstep" else ThreadPlanner(descent)
        pace = Pace(spec.rate_hz, run.recipe.act.execute, Effort(steps))
        super().__init__(making, pace, seed, score)

    def compile(self) -> str:
        """Make plans faster, before the first; how much, or why not."""
        return self._descent.compile()
