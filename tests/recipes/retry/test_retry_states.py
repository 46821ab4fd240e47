"""Every state of the retry machine meets every event, under every rule, on two arms."""

from dataclasses import dataclass, field, replace
from itertools import product
from math import inf, nan
from typing import get_args

import numpy as np
import pytest

from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.objectives.plan_sampler import Effort
from ebt_recipes.retry.back_off import BackOffRules
from ebt_recipes.retry.retry import Retrying, RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Reading, Trigger

JOINTS = ("left/shoulder", "left/gripper", "right/shoulder", "right/gripper")
SPEC = BenchSpec("bench", JOINTS, {}, 20.0, sim=True, lockstep=True)
START = np.array([0.0, 1.0, 0.0, 1.2], dtype=np.float32)
WAY = np.array([0.04, -0.08, -0.02, -0.08], dtype=np.float32)  # rad a tick; the grippers close
BACK = BackOffRules(clear_rad=0.1, open_s=0.1, speed_rad_s=0.4, error_s=0.0)
RULES = {rule: RetryRules(retries=2, rule=rule, hold_s=0.2, veto_s=0.5, back_off=BACK) for rule in get_args(Rule)}
MOVING = ("reverse", "lift", "return")
CALM_TICKS = 9

EVENTS = ("nothing", "plan", "rise", "veto", "late", "stuck")
NEXT = {  # of the rules that move
    "run": dict.fromkeys(EVENTS, "run") | {"rise": "hold"},
    "hold": dict.fromkeys(EVENTS, "hold") | {"veto": "run", "late": "back off"},
    "back off": dict.fromkeys(EVENTS, "back off") | {"late": "gave up", "stuck": "gave up"},
    "wait": dict.fromkeys(EVENTS, "wait") | {"plan": "run", "rise": "hold", "late": "gave up"},
    "gave up": dict.fromkeys(EVENTS, "gave up"),
}
ENTERED = {
    "hold": "hold",
    "back_off": "back off",
    "replan": "wait",
    "commit": "wait",
    "resume": "run",
    "give_up": "gave up",
}
STATES = {rule: tuple(NEXT) for rule in MOVING} | {
    "hold": ("run", "hold", "wait", "gave up"),
    "commit": ("run", "wait", "gave up"),
}


def following(rule: str, state: str, event: str) -> str:
    """The state after `event`: a rule that does not move leaves states out."""
    then = NEXT[state][event]
    while then not in STATES[rule]:
        then = {"hold": "wait", "back off": "wait"}[then]
    return then


@dataclass
class Puppet:
    """A policy that goes its way while it has a plan, holds without one, and has a new one when it is told to."""

    fresh: bool = True
    told: list[str] = field(default_factory=list)

    def reset(self, observation: Observation) -> None:
        self.goal, self.planned = observation.position.copy(), True

    def replan(self, observation: Observation, hold: Joints, effort: Effort) -> None:
        self.told.append("replan")
        self.goal, self.planned = hold.copy(), False

    def commit(self, observation: Observation) -> None:
        self.told.append("commit")

    def decide(self, observation: Observation) -> Decision:
        self.planned |= self.fresh
        if self.planned:
            self.goal = self.goal + WAY
        return Decision(self.goal, Actor.POLICY, score=1.0, trace=(1.0,) if self.fresh else ())


@dataclass
class Oracle:
    """A trigger that is told from outside; nothing of it comes from `EnergyMonitor`."""

    trusted: bool = True
    rise: bool = False
    margin: float = nan
    begun: list[tuple[float, bool]] = field(default_factory=list)

    def restart(self, time_s: float, again: bool, kept_s: float = 0.0) -> None:
        self.begun.append((round(time_s - kept_s, 6), again))

    def update(self, time_s: float, *scores: float) -> Reading:
        return Reading(nan, nan, self.margin, self.alarm)


class Rig:
    """Two arms that are, a tick later, where they were told to be, and an agent on them."""

    def __init__(self, rules: RetryRules, oracle: Oracle | None = None, can_veto: bool = True) -> None:
        self.policy, self.oracle = Puppet(), oracle or Oracle()
        self.rules, self.now_s, self.position = rules, 0.0, START.copy()
        self.state, self.vetoed = "run", False
        trigger: Trigger = self.oracle
        self.agent = Retrying(self.policy, trigger, SPEC, rules, (lambda: self.vetoed) if can_veto else None)
        self.agent.reset(self.observed(self.position))

    def observed(self, position: Joints) -> Observation:
        still = np.zeros(len(JOINTS), dtype=np.float32)
        return Observation(self.now_s, self.now_s, position, still, still, {})

    def tick(self, event: str = "nothing") -> Decision:
        self.policy.fresh, self.oracle.alarm = event in ("plan", "rise"), event == "rise"
        self.vetoed = event == "veto"
        if event == "late":
            self.now_s += self.rules.longest_s
        decision = self.agent.decide(self.observed(self.position + np.float32(event == "stuck")))
        self.now_s += 1 / SPEC.rate_hz
        self.position = decision.action.copy()
        self.state = next((ENTERED[e.kind] for e in reversed(decision.events) if e.kind in ENTERED), self.state)
        return decision

    def reach(self, state: str) -> None:
        """Go there from a fresh reset, by ordinary events."""
        for _ in range(CALM_TICKS):
            self.tick("plan")
        if state == "gave up":
            while self.state != state:
                self.tick("rise")
        elif state != "run":
            self.tick("rise")
        while self.state != state:
            self.tick()


CASES = [(rule, state, event) for rule in RULES for state, event in product(STATES[rule], EVENTS)]


@pytest.mark.parametrize(("rule", "state", "event"), CASES)
def test_every_state_meets_every_event(rule: Rule, state: str, event: str) -> None:
    rig = Rig(RULES[rule])
    rig.reach(state)
    before = rig.position.copy()
    decision = rig.tick(event)
    assert rig.state == following(rule, state, event)
    assert decision.done == (rig.state == "gave up")
    assert np.isfinite(decision.action).all()
    if {state, rig.state} <= {"hold", "gave up"}:
        assert np.array_equal(decision.action, before)
    if state not in ("run", rig.state) and rig.state == "run" and event == "plan":
        assert decision.actor is Actor.POLICY
    elif state != "run":
        assert decision.actor is Actor.RETRY


@pytest.mark.parametrize("rule", RULES)
def test_the_last_attempt_hands_over(rule: Rule) -> None:
    rig = Rig(RULES[rule])
    attempts = []
    while rig.state != "gave up":
        attempts.append(rig.tick("rise").attempt)
    assert attempts[-1] == 1 + RULES[rule].retries
    assert rig.policy.told == ["commit" if rule == "commit" else "replan"] * RULES[rule].retries


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("trusted", [True, False])
def test_a_rise_that_may_not_act_changes_nothing(rule: Rule, trusted: bool) -> None:
    rig = Rig(replace(RULES[rule], retries=0 if trusted else 2), Oracle(trusted))
    decisions = [rig.tick("rise") for _ in range(20)]
    assert {event.kind for decision in decisions for event in decision.events} == {"rise"}
    assert rig.policy.told == []


@pytest.mark.parametrize("rule", RULES)
def test_no_chance_makes_it_hang_move_fast_or_try_for_ever(rule: Rule) -> None:
    rules = RULES[rule]
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rig = Rig(rules, can_veto=bool(seed % 2))
        since_s, attempt = 0.0, 1
        for event in rng.choice(EVENTS[:4], size=400, p=(0.6, 0.2, 0.1, 0.1)):
            state, before = rig.state, rig.position
            decision = rig.tick(str(event))
            since_s = rig.now_s if rig.state != state else since_s
            assert rig.state in ("run", "gave up") or rig.now_s - since_s <= rules.longest_s
            assert attempt <= decision.attempt <= 1 + rules.retries
            attempt = decision.attempt
            if state in ("hold", "back off") and rig.state != "run":
                step = np.abs(decision.action - before)
                assert step[[0, 2]].max() <= BACK.speed_rad_s / SPEC.rate_hz + 1e-6
                assert rule == "return" or not step[[1, 3]].any()


@pytest.mark.parametrize("rule", ("hold", *MOVING))
def test_every_rule_but_commit_stands_still_first_and_can_be_vetoed(rule: Rule) -> None:
    rig = Rig(RULES[rule])
    rig.reach("hold")
    held = [rig.tick().action for _ in range(4)]
    assert rig.state == "hold" and all(np.array_equal(goal, held[0]) for goal in held)
    rig.tick("veto")
    assert rig.state == "run" and rig.policy.told == []


def where_it_waits(rule: Rule, margins: tuple[float, ...] = ()) -> tuple[Joints, Joints, Rig]:
    """Where the arms stood at the rise and where they were led; one margin for each tick before."""
    rig = Rig(RULES[rule], can_veto=False)
    for tick in range(CALM_TICKS):
        rig.oracle.margin = margins[tick] if margins else nan
        rig.tick("plan")
    risen = rig.position
    rig.oracle.margin = 1.0 if margins else nan
    rig.tick("rise")
    while rig.state != "wait":
        rig.tick()
    return risen, rig.position, rig


def test_hold_stays() -> None:
    risen, led, _ = where_it_waits("hold")
    assert np.array_equal(risen, led)


def test_reverse_goes_to_where_the_margin_was_lowest_with_the_grippers_as_they_are() -> None:
    risen, led, _ = where_it_waits("reverse", (-1.0, -1.0, -1.0, -5.0, *[-1.0] * 5))
    assert led[[0, 2]] == pytest.approx((START + 3 * WAY)[[0, 2]])
    assert np.array_equal(led[[1, 3]], risen[[1, 3]])


def test_reverse_goes_to_the_start_where_the_trigger_tells_no_margin() -> None:
    risen, led, _ = where_it_waits("reverse")
    assert led[[0, 2]] == pytest.approx(START[[0, 2]])
    assert np.array_equal(led[[1, 3]], risen[[1, 3]])


def test_lift_goes_a_little_towards_the_start_with_both_arms_in_proportion() -> None:
    risen, led, _ = where_it_waits("lift")
    assert (risen - led)[[0, 2]] == pytest.approx([BACK.clear_rad, -BACK.clear_rad / 2], abs=1e-6)
    assert np.array_equal(led[[1, 3]], risen[[1, 3]])


def test_return_goes_to_the_start_and_opens_both_grippers() -> None:
    assert where_it_waits("return")[1] == pytest.approx(START)


def test_commit_follows_the_plan_until_the_next_one() -> None:
    rig = Rig(RULES["commit"])
    rig.reach("wait")
    assert rig.policy.told == ["commit"]
    goals = np.stack([rig.position, *(rig.tick().action for _ in range(5))])
    assert np.diff(goals, axis=0) == pytest.approx(np.tile(WAY, (5, 1)), abs=1e-6)
    assert [event.kind for event in rig.tick("plan").events] == ["resume"]


@pytest.mark.parametrize(
    ("rule", "kept_s"), [("hold", 0.45), ("lift", 0.45), ("commit", 0.45), ("return", 0.0), ("reverse", 0.15)]
)
def test_the_time_of_a_band_goes_on_where_the_task_does(rule: Rule, kept_s: float) -> None:
    _, _, rig = where_it_waits(rule, (-1.0, -1.0, -1.0, -5.0, *[-1.0] * 5))
    now_s = rig.now_s
    rig.tick("plan")
    assert rig.oracle.begun == [(0.0, False), (pytest.approx(now_s - kept_s), True)]


def test_a_rise_of_the_plan_that_resumes_is_heard() -> None:
    rig = Rig(RULES["return"], can_veto=False)
    rig.reach("wait")
    assert [event.kind for event in rig.tick("rise").events] == ["resume", "rise", "hold"]


def test_several_scores_reach_the_trigger() -> None:
    @dataclass
    class Hearing(Oracle):
        heard: tuple[float, ...] = ()

        def update(self, time_s: float, *scores: float) -> Reading:
            self.heard = scores
            return Reading(2.0, 3.0, -1.0, False)

    class Double(Puppet):
        def decide(self, observation: Observation) -> Decision:
            return replace(super().decide(observation), scores=(1.0, inf))

    oracle = Hearing()
    agent = Retrying(Double(), oracle, SPEC, RULES["hold"])
    seen = Rig(RULES["hold"]).observed(START)
    agent.reset(seen)
    decision = agent.decide(seen)
    assert oracle.heard == (1.0, inf)
    assert (decision.score, decision.threshold) == (2.0, 3.0)
