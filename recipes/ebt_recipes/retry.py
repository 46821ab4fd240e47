"""Trying again when the energy says that it went wrong: a state machine around a policy, no torch.

    run ──rise──▶ hold ──▶ back_off ──▶ replan ──▶ (resume) run        at most `retries` times
     ▲             │veto        │stuck                                  then give_up: hold, done=True
     └──(resume)───┘            └──▶ give_up

Retrying(policy: Replanning, monitor: EnergyMonitor, spec: BenchSpec, rules: RetryRules = RetryRules(),
         veto: Callable[[], bool] | None = None): Agent
Events: rise, hold, back_off, replan, resume, give_up. With retries = 0 or a monitor that is not trusted: rise only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Literal, Protocol

import numpy as np

from ebt_data.agent import Agent
from ebt_data.step import Actor, BenchSpec, Decision, Event, Joints, Observation
from ebt_recipes.back_off import BackOff, BackOffRules, Grippers
from ebt_recipes.monitor import EnergyMonitor, Reading
from ebt_recipes.planner import Effort


class Replanning(Agent, Protocol):
    """An agent that plans, and can be told to think anew; a decision that brings a new plan carries its trace."""

    def replan(self, observation: Observation, hold: Joints, effort: Effort) -> None: ...


@dataclass(frozen=True)
class RetryRules:
    """What to do after a rise."""

    retries: int = 2
    """After so many, the next rise hands over. 0: rises are noted and nothing is done."""
    hold_s: float = 0.2
    """Long holding hurt in our early trials."""
    veto_s: float = 2.0
    """The hold where someone can veto: time to read the announcement and to find a key."""
    back_to: Literal["start", "low"] = "start"
    """`start`: the first pose of the attempt. `low`: where the score lay furthest below its threshold."""
    back_off: BackOffRules = field(default_factory=BackOffRules)
    effort: Effort = field(default_factory=lambda: Effort(steps=6, samples=4))
    """Of the plan after the retry."""


class _State(Enum):
    RUN = auto()
    HOLD = auto()
    BACK_OFF = auto()
    REPLAN = auto()
    GAVE_UP = auto()


class Retrying:
    """A policy that is watched, and sent back to try again while attempts last."""

    def __init__(
        self,
        policy: Replanning,
        monitor: EnergyMonitor,
        spec: BenchSpec,
        rules: RetryRules | None = None,
        veto: Callable[[], bool] | None = None,
    ) -> None:
        """`veto` is asked once a tick while the arms hold; where it is given, the hold is announced and lasts longer."""
        self._policy = policy
        self._monitor = monitor
        self._rate_hz = spec.rate_hz
        self._joints = spec.joints
        self._rules = rules or RetryRules()
        self._veto = veto
        self._acts = monitor.trusted and self._rules.retries > 0

    def reset(self, observation: Observation) -> None:
        self._policy.reset(observation)
        self._attempt = 1
        self._grippers = Grippers(tuple("gripper" in name for name in self._joints), observation.position.copy())
        self._goal = observation.position.copy()
        self._until_s = 0.0
        self._begin(observation, again=False)

    def decide(self, observation: Observation) -> Decision:
        steps = {
            _State.RUN: self._run,
            _State.HOLD: self._hold,
            _State.BACK_OFF: self._go_back,
            _State.REPLAN: self._resume,
            _State.GAVE_UP: self._stay,
        }
        decision = replace(steps[self._state](observation), attempt=self._attempt)
        self._goal = decision.action
        return decision

    def _begin(self, observation: Observation, again: bool) -> None:
        """Start an attempt here."""
        self._state = _State.RUN
        self._path = [observation.position.copy()]
        self._lowest = (np.inf, 0)
        self._reading = Reading(np.nan, np.nan, np.nan, False)
        self._monitor.restart(observation.time_s, again)

    def _run(self, observation: Observation) -> Decision:
        decision = self._policy.decide(observation)
        self._path.append(observation.position.copy())
        if not decision.trace:
            return self._read(decision)
        self._reading = self._monitor.update(observation.time_s, decision.score)
        self._lowest = min(self._lowest, (self._reading.margin, len(self._path) - 1))
        decision = self._read(decision)
        if not self._reading.rise:
            return decision
        rise = Event("rise", f"score {self._reading.score:.3g} over {self._reading.threshold:.3g}")
        if not self._acts:
            return replace(decision, events=(*decision.events, rise))
        if self._attempt > self._rules.retries:
            return self._give_up(f"attempt {self._attempt} was the last", rise)
        self._state = _State.HOLD
        self._until_s = observation.time_s + (self._rules.hold_s if self._veto is None else self._rules.veto_s)
        next_try = f"attempt {self._attempt + 1} of {self._rules.retries + 1}"
        told = "" if self._veto is None else f"; any key within {self._rules.veto_s:g} s vetoes"
        return self._retry_decision(rise, Event("hold", f"{next_try} follows{told}"))

    def _hold(self, observation: Observation) -> Decision:
        if self._veto is not None and self._veto():
            self._state = _State.RUN
            return self._retry_decision(Event("resume", "vetoed"))
        if observation.time_s < self._until_s:
            return self._retry_decision()
        path = self._path[self._lowest[1] if self._rules.back_to == "low" else 0 :]
        self._way = BackOff(path, self._goal, self._grippers, self._rules.back_off, self._rate_hz)
        self._state = _State.BACK_OFF
        return self._retry_decision(Event("back_off", f"to {self._rules.back_to}"))

    def _go_back(self, observation: Observation) -> Decision:
        if self._way.stuck(observation.position):
            return self._give_up("an arm does not follow on the way back")
        if (goal := self._way.next()) is not None:
            self._goal = goal
            return self._retry_decision()
        effort = self._rules.effort
        self._attempt += 1
        self._policy.replan(observation, self._goal, effort)
        self._state = _State.REPLAN
        return self._retry_decision(Event("replan", f"{effort.samples} samples of {effort.steps} steps"))

    def _resume(self, observation: Observation) -> Decision:
        """Wait for the new plan; the policy holds until then."""
        decision = self._policy.decide(observation)
        if not decision.trace:
            return replace(decision, actor=Actor.RETRY)
        self._begin(observation, again=True)
        self._reading = self._monitor.update(observation.time_s, decision.score)
        return replace(self._read(decision), events=(*decision.events, Event("resume", f"attempt {self._attempt}")))

    def _stay(self, observation: Observation) -> Decision:
        return replace(self._retry_decision(), done=True)

    def _give_up(self, why: str, *before: Event) -> Decision:
        self._state = _State.GAVE_UP
        return replace(self._retry_decision(*before, Event("give_up", why)), done=True)

    def _read(self, decision: Decision) -> Decision:
        """The decision with the smoothed score and its threshold; the raw score while nothing is calibrated."""
        if self._monitor.band is None:
            return decision
        return replace(decision, score=self._reading.score, threshold=self._reading.threshold)

    def _retry_decision(self, *events: Event) -> Decision:
        return Decision(
            self._goal, Actor.RETRY, score=self._reading.score, threshold=self._reading.threshold, events=events
        )
