"""Trying again when it goes wrong: a state machine around a policy, no torch.

    state       what happens                              next
    run         a rise                                    hold; by the rule `commit`: wait
                a rise in the last attempt                gave up, or on as if nothing was
    hold        a veto                                    run, as it was
                `hold_s` are over, `veto_s` with a veto   back off; by the rule `hold`: wait
    back off    an arm does not follow                    gave up
                it has arrived                            wait
    wait        the new plan is there                     run, the next attempt
    these two   `longest_s` are over                      gave up
    gave up     anything                                  gave up: holds, done=True

Retrying(policy: Replanning, trigger: Trigger, spec: BenchSpec, rules: RetryRules = RetryRules(),
         veto: Callable[[], bool] | None = None): Agent
Every change of state is an event: rise, hold, back_off, replan or commit, resume, give_up. With retries = 0 or a
trigger that is not trusted: rise only, and nothing changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from math import inf, isnan, nan
from typing import Literal, Protocol

import numpy as np

from ebt_data.agent import Agent
from ebt_data.step import Actor, BenchSpec, Decision, Event, Joints, Observation
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.retry.back_off import BackOff, BackOffRules, Grippers, towards
from ebt_recipes.uncertainty.monitor import Reading, Trigger

Rule = Literal["hold", "reverse", "lift", "return", "commit"]


class Replanning(Agent, Protocol):
    """An agent that plans, and can be told to think anew; a decision that brings a new plan carries its trace."""

    def replan(self, observation: Observation, hold: Joints, effort: Effort) -> None: ...

    def commit(self, observation: Observation) -> None:
        """Follow the plan in use to its last row before the next is asked for."""
        ...


@dataclass(frozen=True)
class RetryRules:
    """What to do after a rise."""

    retries: int = 2
    """After so many, the next rise hands over. 0: rises are noted and nothing is done."""
    go_on: bool = False
    """In the last attempt rises are noted and nothing is done, where nobody is there to hand over to."""
    rule: Rule = "return"
    """Before the new plan, from fresh noise:
    `hold`: stand still.
    `reverse`: back along the path to where the score lay furthest below its threshold, grippers as they are.
    `lift`: `clear_rad` straight towards the first pose of the attempt, grippers as they are.
    `return`: out of the contact along the path, open the grippers, on to the first pose of the attempt.
    `commit`: follow the plan in use to its end; no hold, no veto, and the new plan takes the usual effort."""
    hold_s: float = 0.2
    """Long holding hurt in our early trials."""
    veto_s: float = 2.0
    """The hold where someone can veto: time to read the announcement and to find a key."""
    longest_s: float = 20.0
    """Backing off, or waiting for the new plan, may take; then it gives up."""
    back_off: BackOffRules = field(default_factory=BackOffRules)
    effort: Effort = field(default_factory=lambda: Effort(steps=6, samples=4))
    """Of the plan after the retry."""


class _State(Enum):
    RUN = auto()
    HOLD = auto()
    BACK_OFF = auto()
    WAIT = auto()
    GAVE_UP = auto()


class Retrying:
    """A policy that is watched, and made to try again while attempts last."""

    def __init__(
        self,
        policy: Replanning,
        trigger: Trigger,
        spec: BenchSpec,
        rules: RetryRules | None = None,
        veto: Callable[[], bool] | None = None,
    ) -> None:
        """`veto` is asked once a tick while the arms hold; where it is given, the hold is announced and lasts longer."""
        self._policy = policy
        self._trigger = trigger
        self._rate_hz = spec.rate_hz
        self._joints = spec.joints
        self._rules = rules or RetryRules()
        self._veto = veto
        self._acts = trigger.trusted and self._rules.retries > 0

    def reset(self, observation: Observation) -> None:
        self._policy.reset(observation)
        self._attempt = 1
        self._grippers = Grippers(tuple("gripper" in name for name in self._joints), observation.position.copy())
        self._goal = observation.position.copy()
        self._kept_s = 0.0
        self._begin(observation, again=False)

    def decide(self, observation: Observation) -> Decision:
        steps = {
            _State.RUN: self._run,
            _State.HOLD: self._hold,
            _State.BACK_OFF: self._go_back,
            _State.WAIT: self._await,
            _State.GAVE_UP: self._stay,
        }
        decision = replace(steps[self._state](observation), attempt=self._attempt)
        self._goal = decision.action
        return decision

    def _begin(self, observation: Observation, again: bool) -> None:
        """Start an attempt here, which counts as begun by what a retry kept of the one before."""
        self._enter(_State.RUN, inf)
        self._begun_s = observation.time_s - self._kept_s
        self._path = [observation.position.copy()]
        self._lowest = (inf, 0, self._kept_s)  # margin, index in the path, s since the attempt began
        self._reading = Reading(nan, nan, nan, False)
        self._trigger.restart(observation.time_s, again, self._kept_s)

    def _enter(self, state: _State, until_s: float) -> None:
        self._state = state
        self._until_s = until_s

    def _run(self, observation: Observation) -> Decision:
        decision = self._policy.decide(observation)
        self._path.append(observation.position.copy())
        return self._judge(observation, decision) if decision.trace else self._read(decision)

    def _judge(self, observation: Observation, decision: Decision) -> Decision:
        """Show a new plan to the trigger, and do as it says."""
        self._reading = self._trigger.update(observation.time_s, *(decision.scores or (decision.score,)))
        place = (self._reading.margin, len(self._path) - 1, observation.time_s - self._begun_s)
        self._lowest = min(self._lowest, place)
        decision = self._read(decision)
        if not self._reading.alarm:
            return decision
        told = isnan(self._reading.threshold)
        rise = Event("rise", "" if told else f"score {self._reading.score:.3g} over {self._reading.threshold:.3g}")
        decision = replace(decision, events=(*decision.events, rise))
        last = self._attempt > self._rules.retries
        if not self._acts or (last and self._rules.go_on):
            return decision
        if last:
            return self._give_up(f"attempt {self._attempt} was the last", *decision.events)
        # A band over time goes on where the task does.
        self._kept_s = {"return": 0.0, "reverse": self._lowest[2]}.get(self._rules.rule, place[2])
        return (
            self._commit(observation, decision) if self._rules.rule == "commit" else self._halt(observation, decision)
        )

    def _commit(self, observation: Observation, decision: Decision) -> Decision:
        self._policy.commit(observation)
        self._next_attempt(observation)
        events = (*decision.events, Event("commit", "to the plan in use"))
        return replace(decision, actor=Actor.RETRY, events=events)

    def _halt(self, observation: Observation, decision: Decision) -> Decision:
        self._enter(
            _State.HOLD, observation.time_s + (self._rules.hold_s if self._veto is None else self._rules.veto_s)
        )
        next_try = f"attempt {self._attempt + 1} of {self._rules.retries + 1}"
        told = "" if self._veto is None else f"; any key within {self._rules.veto_s:g} s vetoes"
        return self._retry_decision(*decision.events, Event("hold", f"{next_try} follows{told}"))

    def _hold(self, observation: Observation) -> Decision:
        if self._veto is not None and self._veto():
            self._enter(_State.RUN, inf)
            return self._retry_decision(Event("resume", "vetoed"))
        if observation.time_s < self._until_s:
            return self._retry_decision()
        if self._rules.rule == "hold":
            return self._replan(observation)
        self._way = self._way_back()
        self._enter(_State.BACK_OFF, observation.time_s + self._rules.longest_s)
        return self._retry_decision(Event("back_off", self._rules.rule))

    def _way_back(self) -> BackOff:
        path, rules, grippers = self._path, self._rules.back_off, replace(self._grippers, open=None)
        if self._rules.rule == "reverse":
            path = path[self._lowest[1] :]
        elif self._rules.rule == "lift":
            path = [towards(self._goal, path[0], ~np.array(grippers.joints), rules.clear_rad)[0]]
        else:
            grippers = self._grippers
        return BackOff(path, self._goal, grippers, rules, self._rate_hz)

    def _go_back(self, observation: Observation) -> Decision:
        if self._way.stuck(observation.position):
            return self._give_up("an arm does not follow on the way back")
        if observation.time_s >= self._until_s:
            return self._give_up(f"not back within {self._rules.longest_s:g} s")
        if (goal := self._way.next()) is None:
            return self._replan(observation)
        self._goal = goal
        return self._retry_decision()

    def _replan(self, observation: Observation) -> Decision:
        effort = self._rules.effort
        self._policy.replan(observation, self._goal, effort)
        self._next_attempt(observation)
        return self._retry_decision(Event("replan", f"{effort.samples} samples of {effort.steps} steps"))

    def _next_attempt(self, observation: Observation) -> None:
        """Count it from here; it begins when its plan is there."""
        self._attempt += 1
        self._enter(_State.WAIT, observation.time_s + self._rules.longest_s)

    def _await(self, observation: Observation) -> Decision:
        """Wait for the new plan; the policy holds until then, or follows the plan that it is committed to."""
        decision = self._policy.decide(observation)
        if decision.trace:
            self._begin(observation, again=True)
            resume = Event("resume", f"attempt {self._attempt}")
            return self._judge(observation, replace(decision, events=(*decision.events, resume)))
        if observation.time_s >= self._until_s:
            return self._give_up(f"no new plan within {self._rules.longest_s:g} s")
        return replace(self._read(decision), actor=Actor.RETRY)

    def _stay(self, observation: Observation) -> Decision:
        return replace(self._retry_decision(), done=True)

    def _give_up(self, why: str, *before: Event) -> Decision:
        self._enter(_State.GAVE_UP, inf)
        return replace(self._retry_decision(*before, Event("give_up", why)), done=True)

    def _read(self, decision: Decision) -> Decision:
        """The decision with the smoothed score and its threshold; the raw score while nothing is calibrated."""
        if isnan(self._reading.threshold):
            return decision
        return replace(decision, score=self._reading.score, threshold=self._reading.threshold)

    def _retry_decision(self, *events: Event) -> Decision:
        return Decision(
            self._goal, Actor.RETRY, score=self._reading.score, threshold=self._reading.threshold, events=events
        )
