"""A trained energy as an agent: it executes a plan by the clock, and requests the next one from a planner.

EnergyPolicy(run: Run, spec: BenchSpec, planner: "lockstep" | "thread" | None = None, seed: int = 0,
             steps: int | None = None, score: str = "energy"): Agent
    .replan(observation, hold, budget)   discard the current plan and request a new one
    .commit(observation)                 execute the current plan to its end, then request a new one
    .close()
PlanFollower(planner, config: ExecutionConfig, seed, score): the same for any planner, without torch
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.policy.plan_service import PlanService
from ebt_recipes.policy.planner import LockstepPlanner, Plan, Planner, Request, ThreadPlanner
from ebt_recipes.training.checkpoint import Run


@dataclass(frozen=True)
class ExecutionConfig:
    """How plans are requested and executed."""

    rate_hz: float
    execute: int
    """Ticks between two requests."""
    budget: SamplingBudget
    past: int = 0
    """Ticks of past actions in a request."""


class PlanFollower:
    """Executes the newest available plan, indexed by the time since its observation, and never waits for one."""

    def __init__(self, planner: Planner, config: ExecutionConfig, seed: int = 0, score: str = "energy") -> None:
        self._planner = planner
        self._config = config
        self._seed = seed
        self.score = score
        """Monitored score: a name in `scores.SCORES`, or several joined by `+`."""
        self._score_names = score.split("+")
        self._episode = -1
        self._requested = 0
        self._due_s = 0.0
        self._plan: Plan | None = None
        self._hold: Joints = np.zeros(0, dtype=np.float32)
        self._past: deque[Joints] = deque(maxlen=config.past)

    def reset(self, observation: Observation) -> None:
        """Discard all plans; hold the measured pose until the first new plan."""
        self._episode += 1
        self._requested = 0
        self._due_s = observation.time_s
        self._past.extend([observation.position.copy()] * self._config.past)
        self._discard_plans(observation.position)

    def replan(self, observation: Observation, hold: Joints, budget: SamplingBudget) -> None:
        """Discard the current plan, request one for `observation`, and hold `hold` until it is available."""
        self._discard_plans(hold)
        self._request(observation, budget)

    def commit(self, observation: Observation) -> None:
        """Execute the current plan to its last row before the next request; a pending request is cancelled."""
        if self._plan is not None:
            self._planner.reset()
            end_s = self._plan.observed_s + (len(self._plan.chunk) - 1) / self._config.rate_hz
            self._due_s = max(observation.time_s, end_s)

    def decide(self, observation: Observation) -> Decision:
        half_tick_s = 0.5 / self._config.rate_hz
        if observation.time_s >= self._due_s - half_tick_s:
            self._request(observation, self._config.budget)
        plan = self._planner.newest(observation.time_s) or self._plan
        if plan is None:
            self._past.append(self._hold)
            return Decision(self._hold, Actor.POLICY)
        fresh = plan is not self._plan
        self._plan = plan
        scores = tuple(plan.scores[name] for name in self._score_names)
        action = plan.action(observation.time_s, self._config.rate_hz)
        self._past.append(action)
        return Decision(
            action=action,
            actor=Actor.POLICY,
            energy=plan.energy,
            score=scores[0],
            scores=scores if len(scores) > 1 else (),
            steps_used=plan.gradient_evaluations,
            trace=plan.trace if fresh else (),
            plan_age_s=observation.time_s - plan.observed_s,
            latency_s=plan.latency_s,
        )

    @property
    def plan(self) -> Plan | None:
        """The current plan; None before the first."""
        return self._plan

    def close(self) -> None:
        """Stop the planner's thread, if it has one."""
        self._planner.close()

    def _discard_plans(self, hold: Joints) -> None:
        self._planner.reset()
        self._plan = None
        self._hold = hold.copy()

    def _request(self, observation: Observation, budget: SamplingBudget) -> None:
        self._due_s = observation.time_s + self._config.execute / self._config.rate_hz
        draw = np.random.SeedSequence((self._seed, self._episode, self._requested)).generate_state(1, np.uint64)
        self._requested += 1
        past = np.stack(self._past) if self._past else None
        self._planner.submit(Request(observation, int(draw[0]) >> 1, budget, self._plan, past))


class EnergyPolicy(PlanFollower):
    """Receding-horizon control by descent on a trained energy."""

    def __init__(
        self,
        run: Run,
        spec: BenchSpec,
        planner: Literal["lockstep", "thread"] | None = None,
        seed: int = 0,
        steps: int | None = None,
        score: str = "energy",
    ) -> None:
        """Plan in lock-step or in a thread, by default as the bench keeps time; `steps` overrides the recipe's.

        `score` is the monitored score, one name of `scores.SCORES` or several joined by `+`.

        Raises:
            ConfigError: the run was trained for another bench; the message is a table of the differences.
            MisuseError: the run does not have that score.
        """
        kind = planner or ("lockstep" if spec.lockstep else "thread")
        within_s = run.recipe.act.within_s if kind == "thread" else 0.0
        self._plan_service = plan_service = PlanService(run, spec, tuple(score.split("+")), within_s=within_s)
        chosen: Planner = (
            LockstepPlanner(plan_service, plan_service.latency_s) if kind == "lockstep" else ThreadPlanner(plan_service)
        )
        config = ExecutionConfig(
            spec.rate_hz, run.recipe.act.execute, SamplingBudget(steps), run.recipe.observe.past_actions
        )
        super().__init__(chosen, config, seed, score)

    def compile(self) -> str:
        """Compile the sampling before the first plan; returns the speed-up, or why it is not compiled."""
        return self._plan_service.compile()
