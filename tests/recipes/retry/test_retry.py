from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pytest

from ebt_data.step import Actor, BenchSpec, Decision, Joints, Observation
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.loop import run_episode
from ebt_recipes.objectives.plan_sampler import SamplingBudget
from ebt_recipes.retry.back_off import BackOffRules
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules

SPEC = BenchSpec("bench", ("shoulder", "gripper"), {}, 20.0, sim=True, lockstep=True)
FAR = 0.8  # rad, the goal of the policy
RULES = RetryRules(retries=2, hold_s=0.2, veto_s=0.5, back_off=BackOffRules(clear_rad=0.1, open_s=0.1, speed_rad_s=1.0))


@dataclass
class Mover:
    """A policy that moves its first joint out and closes its gripper, with a new plan of a given score every tick."""

    scores: Callable[[int], float]
    budgets: list[SamplingBudget] = field(default_factory=list)
    ticks: int = 0
    goal: float = 0.0

    def reset(self, observation: Observation) -> None:
        self.ticks, self.goal = 0, float(observation.position[0])

    def replan(self, observation: Observation, hold: Joints, budget: SamplingBudget) -> None:
        self.budgets.append(budget)
        self.goal = float(hold[0])

    def commit(self, observation: Observation) -> None:
        pass

    def decide(self, observation: Observation) -> Decision:
        score = self.scores(self.ticks)
        self.ticks += 1
        self.goal = min(self.goal + 0.05, FAR)
        action = np.array([self.goal, 0.2], dtype=np.float32)
        return Decision(action, Actor.POLICY, energy=score, score=score, steps_used=1, trace=(score + 1, score))


def make_monitor(trusted: bool = True) -> EnergyMonitor:
    return EnergyMonitor(ConformalThreshold((0.0,), (0.0,), (1.0,), 1.0), MonitorRules(1, 0.5, 2), trusted)


def observation_at(tick: int, position: Joints) -> Observation:
    still = np.zeros(2, dtype=np.float32)
    return Observation(tick / SPEC.rate_hz, tick / SPEC.rate_hz, position, still, still, {})


def run(agent: Retrying, ticks: int, blocked: bool = False) -> list[Decision]:
    """Decisions on an arm that reaches its goal a tick later; `blocked`: it does not move during a retry."""
    position = np.array([0.0, 1.0], dtype=np.float32)
    decisions: list[Decision] = []
    agent.reset(observation_at(0, position))
    for tick in range(ticks):
        decisions.append(agent.decide(observation_at(tick, position)))
        retrying = decisions[-1].actor is Actor.RETRY
        position = position if blocked and retrying else decisions[-1].action.copy()
        if decisions[-1].done:
            break
    return decisions


def kinds(decisions: list[Decision]) -> list[str]:
    return [event.kind for decision in decisions for event in decision.events]


def bad_once(tick: int) -> float:
    return 5.0 if tick == 20 else 0.0


def bad_later(tick: int) -> float:
    return 5.0 if tick >= 20 else 0.0


def test_a_policy_with_low_scores_is_not_interrupted() -> None:
    decisions = run(Retrying(Mover(lambda _: 0.0), make_monitor(), SPEC, RULES), 100)
    assert kinds(decisions) == []
    assert {decision.attempt for decision in decisions} == {1}


def test_an_alarm_leads_to_a_back_off_and_a_new_attempt() -> None:
    decisions = run(Retrying(Mover(bad_once), make_monitor(), SPEC, RULES), 150)
    assert kinds(decisions) == ["rise", "hold", "back_off", "replan", "resume"]
    assert decisions[-1].attempt == 2
    assert decisions[-1].actor is Actor.POLICY


def test_the_arm_goes_back_to_the_start_in_bounded_steps_and_opens() -> None:
    decisions = run(Retrying(Mover(bad_once), make_monitor(), SPEC, RULES), 150)
    back = np.stack([decision.action for decision in decisions if decision.actor is Actor.RETRY])
    assert np.abs(np.diff(back[:, 0])).max() <= RULES.back_off.speed_rad_s / SPEC.rate_hz + 1e-6
    assert back[-1] == pytest.approx([0.0, 1.0], abs=0.06)


def test_the_gripper_stays_closed_at_first() -> None:
    decisions = run(Retrying(Mover(bad_once), make_monitor(), SPEC, RULES), 150)
    back = [decision.action for decision in decisions if decision.actor is Actor.RETRY]
    assert back[6][1] == np.float32(0.2)
    assert back[6][0] < FAR


def test_the_new_plan_has_a_larger_budget() -> None:
    policy = Mover(bad_once)
    run(Retrying(policy, make_monitor(), SPEC, RULES), 150)
    assert policy.budgets == [RULES.budget] and RULES.budget.samples > 1


def test_attempts_are_bounded_and_the_last_alarm_gives_up() -> None:
    decisions = run(Retrying(Mover(bad_later), make_monitor(), SPEC, RULES), 2000)
    events = kinds(decisions)
    assert events.count("replan") == RULES.retries
    assert events[-2:] == ["rise", "give_up"]
    assert decisions[-1].done
    assert decisions[-1].attempt == 1 + RULES.retries


def test_the_last_attempt_may_continue_where_no_operator_takes_over() -> None:
    decisions = run(Retrying(Mover(bad_later), make_monitor(), SPEC, replace(RULES, go_on=True)), 500)
    events = kinds(decisions)
    assert events.count("replan") == RULES.retries
    assert events[-1] == "rise" and "give_up" not in events
    assert decisions[-1].actor is Actor.POLICY and not decisions[-1].done


def test_giving_up_holds_and_stays_done() -> None:
    agent = Retrying(Mover(bad_later), make_monitor(), SPEC, RULES)
    decisions = run(agent, 2000)
    after = agent.decide(observation_at(5000, np.zeros(2, dtype=np.float32)))
    assert after.done
    assert np.array_equal(after.action, decisions[-1].action)


def test_a_back_off_stops_if_an_arm_does_not_follow() -> None:
    policy = Mover(bad_once)
    decisions = run(Retrying(policy, make_monitor(), SPEC, RULES), 2000, blocked=True)
    assert kinds(decisions) == ["rise", "hold", "back_off", "give_up"]
    assert policy.budgets == []


def test_a_veto_resumes_the_same_attempt() -> None:
    policy = Mover(bad_once)
    decisions = run(Retrying(policy, make_monitor(), SPEC, RULES, veto=lambda: True), 100)
    assert kinds(decisions) == ["rise", "hold", "resume"]
    assert decisions[-1].attempt == 1
    assert policy.budgets == []


def test_with_a_veto_the_hold_is_announced_and_lasts_longer() -> None:
    decisions = run(Retrying(Mover(bad_once), make_monitor(), SPEC, RULES, veto=lambda: False), 200)
    alarm, back = (next(i for i, d in enumerate(decisions) if kind in kinds([d])) for kind in ("rise", "back_off"))
    assert (back - alarm) / SPEC.rate_hz == pytest.approx(RULES.veto_s, abs=0.051)
    assert "vetoes" in decisions[alarm].events[1].text


@pytest.mark.parametrize("agent", ["untrusted", "no retries"])
def test_an_alarm_without_retries_is_only_recorded(agent: str) -> None:
    rules = RetryRules(retries=0) if agent == "no retries" else RULES
    decisions = run(Retrying(Mover(bad_once), make_monitor(agent == "no retries"), SPEC, rules), 60)
    assert kinds(decisions) == ["rise"]
    assert all(decision.actor is Actor.POLICY for decision in decisions)


def test_reverse_stops_where_the_score_was_lowest_without_moving_the_gripper() -> None:
    rules = RetryRules(rule="reverse", back_off=RULES.back_off)
    policy = Mover(lambda tick: {5: -3.0, 14: 5.0}.get(tick, 0.0))
    decisions = run(Retrying(policy, make_monitor(), SPEC, rules), 100)
    back = [decision.action for decision in decisions if decision.actor is Actor.RETRY]
    assert back[-1] == pytest.approx([0.25, 0.2], abs=0.06)


def test_decisions_carry_the_score_and_its_threshold() -> None:
    decision = run(Retrying(Mover(lambda _: 0.25), make_monitor(), SPEC, RULES), 3)[-1]
    assert (decision.score, decision.threshold) == (0.25, 1.0)


class Replay:
    """Replays actions from the start of every attempt; its first attempt turns bad at `bad_s`."""

    def __init__(self, actions: list[Joints], bad_s: float) -> None:
        self.actions, self.bad_s = actions, bad_s

    def reset(self, observation: Observation) -> None:
        self.start_s, self.attempt = observation.time_s, 1

    def replan(self, observation: Observation, hold: Joints, budget: SamplingBudget) -> None:
        self.start_s, self.attempt = observation.time_s, self.attempt + 1

    def commit(self, observation: Observation) -> None:
        pass

    def decide(self, observation: Observation) -> Decision:
        since_s = observation.time_s - self.start_s
        score = 5.0 if self.attempt == 1 and since_s > self.bad_s else 0.0
        action = self.actions[min(round(since_s * 20), len(self.actions) - 1)]
        return Decision(action, Actor.POLICY, energy=score, score=score, trace=(score,))


def test_an_arm_that_holds_a_cube_puts_it_down_and_returns_to_the_start(twin: Bench) -> None:
    leader = load_bench("twin").open_leader(twin)
    demonstration = list(islice(run_episode(twin, leader, seed=0), 100))
    lifted = next(s.observation.time_s for s in demonstration if s.observation.privileged["cube"][2] > 0.05)
    agent = Retrying(Replay([s.sent for s in demonstration], lifted), make_monitor(), twin.spec)
    steps = list(islice(run_episode(twin, agent, seed=0), 150))
    assert [k for k in kinds([s.decision for s in steps]) if k != "limit"] == [
        "rise",
        "hold",
        "back_off",
        "replan",
        "resume",
    ]
    held = next(s.observation for s in steps if s.decision.actor is Actor.RETRY)
    home = next(s.observation for s in steps if s.decision.attempt == 2)
    assert held.privileged["cube"][2] > 0.04
    assert home.privileged["cube"][2] < 0.03
    assert home.position == pytest.approx(steps[0].observation.position, abs=0.03)


def test_a_reset_starts_with_the_first_attempt() -> None:
    agent = Retrying(Mover(bad_later), make_monitor(), SPEC, RULES)
    run(agent, 2000)
    assert [decision.attempt for decision in run(agent, 5)] == [1] * 5
