"""Every state of the retry state machine with every event, under every rule, on two arms."""

from dataclasses import dataclass, field, replace
from itertools import product
from math import inf, nan
from typing import get_args

import numpy as np
import pytest

from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.retry.back_off import BackOffRules
from ebt_recipes.retry.retry import Retrying, RetryRules, Rule
from ebt_recipes.uncertainty.monitor import MonitorReading, Trigger

JOINTS = ("left/shoulder", "left/gripper", "right/shoulder", "right/gripper")
SPEC = BenchSpec("bench", JOINTS, {}, 20.0, sim=True, lockstep=True)
START = np.array([0.0, 1.0, 0.0, 1.2], dtype=np.float32)
WAY = np.array([0.04, -0.08, -0.02, -0.08], dtype=np.float32)  # rad per tick; the grippers close
BACK = BackOffRules(clear_rad=0.1, open_s=0.1, speed_rad_s=0.4, error_s=0.0)
RULES = {rule: RetryRules(retries=2, rule=rule, hold_s=0.2, veto_s=0.5, back_off=BACK) for rule in get_args(Rule)}
MOVING = ("reverse", "lift", "return")
CALM_TICKS = 9

EVENTS = ("nothing", "plan", "rise", "veto", "late", "stuck")
NEXT = {  # for the rules with a back-off
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
    """The state after `event`; a rule without a back-off skips states."""
    then = NEXT[state][event]
    while then not in STATES[rule]:
        then = {"hold": "wait", "back off": "wait"}[then]
    return then


@dataclass
class Puppet:
    """A policy that moves while it has a plan, holds without one, and gets a new one when `fresh`."""

    fresh: bool = True
    calls: list[str] = field(default_factory=list)

    def reset(self, observation: Observation) -> None:
        self.goal, self.planned = observation.position.copy(), True

    def replan(self, observation: Observation, hold: Joints, budget: SamplingBudget) -> None:
        self.calls.append("replan")
        self.goal, self.planned = hold.copy(), False

    def commit(self, observation: Observation) -> None:
        self.calls.append("commit")

    def decide(self, observation: Observation) -> Decision:
        self.planned |= self.fresh
        if self.planned:
            self.goal = self.goal + WAY
        return Decision(self.goal, Actor.POLICY, score=1.0, trace=(1.0,) if self.fresh else ())


@dataclass
class Oracle:
    """A trigger set by the test, independent of `EnergyMonitor`."""

    trusted: bool = True
    alarm: bool = False
    margin: float = nan
    starts: list[tuple[float, bool]] = field(default_factory=list)

    def restart(self, time_s: float, retry: bool, kept_s: float = 0.0) -> None:
        self.starts.append((round(time_s - kept_s, 6), retry))

    def update(self, time_s: float, *scores: float) -> MonitorReading:
        return MonitorReading(nan, nan, self.margin, self.alarm)


class Rig:
    """Two arms that reach their goals a tick later, and an agent that drives them."""

    def __init__(self, rules: RetryRules, oracle: Oracle | None = None, can_veto: bool = True) -> None:
        self.policy, self.oracle = Puppet(), oracle or Oracle()
        self.rules, self.now_s, self.position = rules, 0.0, START.copy()
        self.state, self.vetoed = "run", False
        trigger: Trigger = self.oracle
        self.agent = Retrying(self.policy, trigger, SPEC, rules, (lambda: self.vetoed) if can_veto else None)
        self.agent.reset(self.observation_at(self.position))

    def observation_at(self, position: Joints) -> Observation:
        still = np.zeros(len(JOINTS), dtype=np.float32)
        return Observation(self.now_s, self.now_s, position, still, still, {})

    def tick(self, event: str = "nothing") -> Decision:
        self.policy.fresh, self.oracle.alarm = event in ("plan", "rise"), event == "rise"
        self.vetoed = event == "veto"
        if event == "late":
            self.now_s += self.rules.longest_s
        decision = self.agent.decide(self.observation_at(self.position + np.float32(event == "stuck")))
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
def test_every_event_in_every_state(rule: Rule, state: str, event: str) -> None:
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
def test_the_last_attempt_gives_up(rule: Rule) -> None:
    rig = Rig(RULES[rule])
    attempts = []
    while rig.state != "gave up":
        attempts.append(rig.tick("rise").attempt)
    assert attempts[-1] == 1 + RULES[rule].retries
    assert rig.policy.calls == ["commit" if rule == "commit" else "replan"] * RULES[rule].retries


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("trusted", [True, False])
def test_an_alarm_without_retries_changes_nothing(rule: Rule, trusted: bool) -> None:
    rig = Rig(replace(RULES[rule], retries=0 if trusted else 2), Oracle(trusted))
    decisions = [rig.tick("rise") for _ in range(20)]
    assert {event.kind for decision in decisions for event in decision.events} == {"rise"}
    assert rig.policy.calls == []


@pytest.mark.parametrize("rule", RULES)
def test_random_events_never_make_it_hang_move_fast_or_retry_without_end(rule: Rule) -> None:
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
def test_every_rule_but_commit_holds_first_and_can_be_vetoed(rule: Rule) -> None:
    rig = Rig(RULES[rule])
    rig.reach("hold")
    held = [rig.tick().action for _ in range(4)]
    assert rig.state == "hold" and all(np.array_equal(goal, held[0]) for goal in held)
    rig.tick("veto")
    assert rig.state == "run" and rig.policy.calls == []


def back_off_poses(rule: Rule, margins: tuple[float, ...] = ()) -> tuple[Joints, Joints, Rig]:
    """Pose at the alarm and pose after the back-off; one margin for each tick before."""
    rig = Rig(RULES[rule], can_veto=False)
    for tick in range(CALM_TICKS):
        rig.oracle.margin = margins[tick] if margins else nan
        rig.tick("plan")
    alarmed = rig.position
    rig.oracle.margin = 1.0 if margins else nan
    rig.tick("rise")
    while rig.state != "wait":
        rig.tick()
    return alarmed, rig.position, rig


def test_hold_stays() -> None:
    alarmed, final, _ = back_off_poses("hold")
    assert np.array_equal(alarmed, final)


def test_reverse_goes_to_where_the_margin_was_lowest_without_moving_the_grippers() -> None:
    alarmed, final, _ = back_off_poses("reverse", (-1.0, -1.0, -1.0, -5.0, *[-1.0] * 5))
    assert final[[0, 2]] == pytest.approx((START + 3 * WAY)[[0, 2]])
    assert np.array_equal(final[[1, 3]], alarmed[[1, 3]])


def test_reverse_goes_to_the_start_if_the_trigger_gives_no_margin() -> None:
    alarmed, final, _ = back_off_poses("reverse")
    assert final[[0, 2]] == pytest.approx(START[[0, 2]])
    assert np.array_equal(final[[1, 3]], alarmed[[1, 3]])


def test_lift_moves_towards_the_start_with_both_arms_in_proportion() -> None:
    alarmed, final, _ = back_off_poses("lift")
    assert (alarmed - final)[[0, 2]] == pytest.approx([BACK.clear_rad, -BACK.clear_rad / 2], abs=1e-6)
    assert np.array_equal(final[[1, 3]], alarmed[[1, 3]])


def test_return_goes_to_the_start_and_opens_both_grippers() -> None:
    assert back_off_poses("return")[1] == pytest.approx(START)


def test_commit_follows_the_plan_until_the_next_one() -> None:
    rig = Rig(RULES["commit"])
    rig.reach("wait")
    assert rig.policy.calls == ["commit"]
    goals = np.stack([rig.position, *(rig.tick().action for _ in range(5))])
    assert np.diff(goals, axis=0) == pytest.approx(np.tile(WAY, (5, 1)), abs=1e-6)
    assert [event.kind for event in rig.tick("plan").events] == ["resume"]


@pytest.mark.parametrize(
    ("rule", "kept_s"), [("hold", 0.45), ("lift", 0.45), ("commit", 0.45), ("return", 0.0), ("reverse", 0.15)]
)
def test_the_time_of_a_threshold_continues_from_what_the_rule_keeps(rule: Rule, kept_s: float) -> None:
    _, _, rig = back_off_poses(rule, (-1.0, -1.0, -1.0, -5.0, *[-1.0] * 5))
    now_s = rig.now_s
    rig.tick("plan")
    assert rig.oracle.starts == [(0.0, False), (pytest.approx(now_s - kept_s), True)]


def test_the_plan_that_resumes_can_raise_an_alarm() -> None:
    rig = Rig(RULES["return"], can_veto=False)
    rig.reach("wait")
    assert [event.kind for event in rig.tick("rise").events] == ["resume", "rise", "hold"]


def test_several_scores_reach_the_trigger() -> None:
    @dataclass
    class Recording(Oracle):
        scores: tuple[float, ...] = ()

        def update(self, time_s: float, *scores: float) -> MonitorReading:
            self.scores = scores
            return MonitorReading(2.0, 3.0, -1.0, False)

    class Double(Puppet):
        def decide(self, observation: Observation) -> Decision:
            return replace(super().decide(observation), scores=(1.0, inf))

    oracle = Recording()
    agent = Retrying(Double(), oracle, SPEC, RULES["hold"])
    observation = Rig(RULES["hold"]).observation_at(START)
    agent.reset(observation)
    decision = agent.decide(observation)
    assert oracle.scores == (1.0, inf)
    assert (decision.score, decision.threshold) == (2.0, 3.0)
