"""Retries after alarms: a state machine around a policy, without torch.

    state          event                                         next state
    run            an alarm                                      hold; with the rule `commit`: wait
                   an alarm in the last attempt                  gave up; with `go_on`: run
    hold           a veto                                        run, the same attempt
                   `hold_s` elapsed, with vetoes `veto_s`        back off; with the rule `hold`: wait
    back off       an arm does not follow                        gave up
                   the arms have arrived                         wait
    wait           the new plan is available                     run, the next attempt
    the last two   `longest_s` elapsed                           gave up
    gave up        any                                           gave up: holds, done=True

Retrying(policy: ReplanningAgent, trigger: Trigger, spec: BenchSpec, rules: RetryRules = RetryRules(),
         veto: Callable[[], bool] | None = None): Agent
Every change of state is an event: rise (an alarm), hold, back_off, replan or commit, resume, give_up.
With retries = 0 or a trigger that is not trusted, alarms are only recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from math import inf, isnan, nan
from typing import Literal, Protocol

import numpy as np

from ebt_data.agent import Agent
from ebt_data.step import Actor, BenchSpec, Decision, Event, Joints, Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.retry.back_off import BackOff, BackOffRules, Grippers, towards
from ebt_recipes.uncertainty.monitor import MonitorReading, Trigger

Rule = Literal["hold", "reverse", "lift", "return", "commit"]


class ReplanningAgent(Agent, Protocol):
    """An agent that can replan on request; the first decision of a new plan carries its energy trace."""

    def replan(self, observation: Observation, hold: Joints, budget: SamplingBudget) -> None: ...

    def commit(self, observation: Observation) -> None:
        """Execute the current plan to its last row before requesting the next."""
        ...


@dataclass(frozen=True)
class RetryRules:
    """What to do after an alarm."""

    retries: int = 2
    """Maximum of retries; the next alarm gives up. 0: alarms are only recorded."""
    go_on: bool = False
    """Only record alarms in the last attempt, where no operator can take over."""
    rule: Rule = "return"
    """What the arms do before the new plan, which starts from new noise:
    `hold`: hold the pose.
    `reverse`: follow the path back to where the score was furthest below its threshold, without moving the grippers.
    `lift`: move `clear_rad` straight towards the first pose of the attempt, without moving the grippers.
    `return`: leave the contact along the path, open the grippers, return to the first pose of the attempt.
    `commit`: execute the current plan to its end; no hold, no veto, and the new plan has the default budget."""
    hold_s: float = 0.2
    """Long holds reduced success in our early trials."""
    veto_s: float = 2.0
    """The hold if an operator can veto: time to read the announcement and to press a key."""
    longest_s: float = 20.0
    """Time limit of the back-off, and of the wait for the new plan; then it gives up."""
    back_off: BackOffRules = field(default_factory=BackOffRules)
    budget: SamplingBudget = field(default_factory=lambda: SamplingBudget(steps=6, samples=4))
    """Sampling budget of the plan after the retry."""


class _State(Enum):
    RUN = auto()
    HOLD = auto()
    BACK_OFF = auto()
    WAIT = auto()
    GAVE_UP = auto()


class Retrying:
    """A monitored policy that retries after alarms, up to a maximum of attempts."""

    def __init__(
        self,
        policy: ReplanningAgent,
        trigger: Trigger,
        spec: BenchSpec,
        rules: RetryRules | None = None,
        veto: Callable[[], bool] | None = None,
    ) -> None:
        """`veto` is called once a tick while the arms hold; with it, the hold is announced and lasts `veto_s`."""
        self._policy = policy
        self._trigger = trigger
        self._rate_hz = spec.rate_hz
        self._joints = spec.joints
        self._rules = rules or RetryRules()
        self._veto = veto
        self._enabled = trigger.trusted and self._rules.retries > 0

    def reset(self, observation: Observation) -> None:
        self._policy.reset(observation)
        self._attempt = 1
        self._grippers = Grippers(tuple("gripper" in name for name in self._joints), observation.position.copy())
        self._goal = observation.position.copy()
        self._kept_s = 0.0
        self._start_attempt(observation, retry=False)

    def decide(self, observation: Observation) -> Decision:
        steps = {
            _State.RUN: self._run,
            _State.HOLD: self._hold,
            _State.BACK_OFF: self._follow_back_off,
            _State.WAIT: self._wait,
            _State.GAVE_UP: self._stay_given_up,
        }
        decision = replace(steps[self._state](observation), attempt=self._attempt)
        self._goal = decision.action
        return decision

    def _start_attempt(self, observation: Observation, retry: bool) -> None:
        """Start an attempt, `_kept_s` into the task if a retry kept that much of the previous one."""
        self._enter(_State.RUN, inf)
        self._start_s = observation.time_s - self._kept_s
        self._path = [observation.position.copy()]
        self._lowest = (inf, 0, self._kept_s)  # margin, index in the path, s since the attempt started
        self._reading = MonitorReading(nan, nan, nan, False)
        self._trigger.restart(observation.time_s, retry, self._kept_s)

    def _enter(self, state: _State, until_s: float) -> None:
        self._state = state
        self._until_s = until_s

    def _run(self, observation: Observation) -> Decision:
        decision = self._policy.decide(observation)
        self._path.append(observation.position.copy())
        return self._check_plan(observation, decision) if decision.trace else self._with_score(decision)

    def _check_plan(self, observation: Observation, decision: Decision) -> Decision:
        """Pass a new plan to the trigger, and start a retry on an alarm."""
        self._reading = self._trigger.update(observation.time_s, *(decision.scores or (decision.score,)))
        candidate = (self._reading.margin, len(self._path) - 1, observation.time_s - self._start_s)
        self._lowest = min(self._lowest, candidate)
        decision = self._with_score(decision)
        if not self._reading.alarm:
            return decision
        unknown = isnan(self._reading.threshold)
        alarm = Event("rise", "" if unknown else f"score {self._reading.score:.3g} over {self._reading.threshold:.3g}")
        decision = replace(decision, events=(*decision.events, alarm))
        last = self._attempt > self._rules.retries
        if not self._enabled or (last and self._rules.go_on):
            return decision
        if last:
            return self._give_up(f"attempt {self._attempt} was the last", *decision.events)
        # Thresholds over time continue from the time in the task that the rule keeps.
        self._kept_s = {"return": 0.0, "reverse": self._lowest[2]}.get(self._rules.rule, candidate[2])
        return (
            self._commit(observation, decision)
            if self._rules.rule == "commit"
            else self._hold_for_retry(observation, decision)
        )

    def _commit(self, observation: Observation, decision: Decision) -> Decision:
        self._policy.commit(observation)
        self._next_attempt(observation)
        events = (*decision.events, Event("commit", "to the current plan"))
        return replace(decision, actor=Actor.RETRY, events=events)

    def _hold_for_retry(self, observation: Observation, decision: Decision) -> Decision:
        self._enter(
            _State.HOLD, observation.time_s + (self._rules.hold_s if self._veto is None else self._rules.veto_s)
        )
        attempt = f"attempt {self._attempt + 1} of {self._rules.retries + 1}"
        veto = "" if self._veto is None else f"; any key within {self._rules.veto_s:g} s vetoes"
        return self._retry_decision(*decision.events, Event("hold", f"{attempt} follows{veto}"))

    def _hold(self, observation: Observation) -> Decision:
        if self._veto is not None and self._veto():
            self._enter(_State.RUN, inf)
            return self._retry_decision(Event("resume", "vetoed"))
        if observation.time_s < self._until_s:
            return self._retry_decision()
        if self._rules.rule == "hold":
            return self._replan(observation)
        self._back_off = self._make_back_off()
        self._enter(_State.BACK_OFF, observation.time_s + self._rules.longest_s)
        return self._retry_decision(Event("back_off", self._rules.rule))

    def _make_back_off(self) -> BackOff:
        path, rules, grippers = self._path, self._rules.back_off, replace(self._grippers, open=None)
        if self._rules.rule == "reverse":
            path = path[self._lowest[1] :]
        elif self._rules.rule == "lift":
            path = [towards(self._goal, path[0], ~np.array(grippers.joints), rules.clear_rad)[0]]
        else:
            grippers = self._grippers
        return BackOff(path, self._goal, grippers, rules, self._rate_hz)

    def _follow_back_off(self, observation: Observation) -> Decision:
        if self._back_off.stuck(observation.position):
            return self._give_up("an arm does not follow the back-off")
        if observation.time_s >= self._until_s:
            return self._give_up(f"back-off not finished within {self._rules.longest_s:g} s")
        if (goal := self._back_off.next()) is None:
            return self._replan(observation)
        self._goal = goal
        return self._retry_decision()

    def _replan(self, observation: Observation) -> Decision:
        budget = self._rules.budget
        self._policy.replan(observation, self._goal, budget)
        self._next_attempt(observation)
        return self._retry_decision(Event("replan", f"{budget.samples} samples of {budget.steps} steps"))

    def _next_attempt(self, observation: Observation) -> None:
        """Count the next attempt; it starts when its plan is available."""
        self._attempt += 1
        self._enter(_State.WAIT, observation.time_s + self._rules.longest_s)

    def _wait(self, observation: Observation) -> Decision:
        """Wait for the new plan; until then the policy holds, or executes the plan that it is committed to."""
        decision = self._policy.decide(observation)
        if decision.trace:
            self._start_attempt(observation, retry=True)
            resume = Event("resume", f"attempt {self._attempt}")
            return self._check_plan(observation, replace(decision, events=(*decision.events, resume)))
        if observation.time_s >= self._until_s:
            return self._give_up(f"no new plan within {self._rules.longest_s:g} s")
        return replace(self._with_score(decision), actor=Actor.RETRY)

    def _stay_given_up(self, observation: Observation) -> Decision:
        return replace(self._retry_decision(), done=True)

    def _give_up(self, reason: str, *earlier: Event) -> Decision:
        self._enter(_State.GAVE_UP, inf)
        return replace(self._retry_decision(*earlier, Event("give_up", reason)), done=True)

    def _with_score(self, decision: Decision) -> Decision:
        """The decision with the smoothed score and its threshold; the raw score without a calibration."""
        if isnan(self._reading.threshold):
            return decision
        return replace(decision, score=self._reading.score, threshold=self._reading.threshold)

    def _retry_decision(self, *events: Event) -> Decision:
        return Decision(
            self._goal, Actor.RETRY, score=self._reading.score, threshold=self._reading.threshold, events=events
        )
