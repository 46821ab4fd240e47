"""Joints moved by keys."""

import numpy as np
import pytest

from ebt_data.errors import HardwareError
from ebt_data.step import Actor, Joints, Observation
from ebt_hardware.teleop.keyboard_arm import MAX_AHEAD_RAD, STEP_RAD
from tests.hardware.teleop.conftest import Typist, arm


def see(position: Joints) -> Observation:
    still = np.zeros_like(position)
    return Observation(0.0, 0.0, position, still, still, {})


def test_one_press_is_one_step_of_the_selected_joint(typist: Typist) -> None:
    with typist.keys:
        agent = arm(typist, "lift", "flex", "gripper")
        here = np.array([0.1, 0.2, 0.3], np.float32)
        agent.reset(see(here))
        assert agent.selected_joint == "lift"
        typist.type("\x1b[A\x1b[A2\x1b[B")
        decision = agent.decide(see(here))
        np.testing.assert_allclose(decision.action, here + np.array([2, -1, 0]) * STEP_RAD, rtol=1e-5)
        assert decision.actor is Actor.HUMAN
        assert agent.selected_joint == "flex"
        np.testing.assert_array_equal(agent.decide(see(here)).action, decision.action)


def test_every_joint_of_two_arms_is_within_reach(typist: Typist) -> None:
    joints = [f"{side}/{joint}" for side in ("left", "right") for joint in "abcdef"]
    with typist.keys:
        agent = arm(typist, *joints)
        here = np.zeros(12, np.float32)
        agent.reset(see(here))
        for _ in range(2):
            for key in "123456":
                typist.type(f"{key}\x1b[A")
                agent.decide(see(here))
            typist.type("\t")
        np.testing.assert_allclose(agent.decide(see(here)).action, np.full(12, STEP_RAD), rtol=1e-6)


def test_the_goal_does_not_run_away_from_a_stopped_joint(typist: Typist) -> None:
    with typist.keys:
        agent = arm(typist, "lift")
        here = np.zeros(1, np.float32)
        agent.reset(see(here))
        typist.type("\x1b[A" * 50)
        assert agent.decide(see(here)).action[0] == pytest.approx(MAX_AHEAD_RAD)
        typist.type("\x1b[B")
        assert agent.decide(see(here)).action[0] == pytest.approx(MAX_AHEAD_RAD - STEP_RAD)


def test_presses_before_an_episode_count_for_nothing(typist: Typist) -> None:
    with typist.keys:
        agent = arm(typist, "lift")
        typist.type("\x1b[A")
        agent.reset(see(np.zeros(1, np.float32)))
        assert agent.decide(see(np.zeros(1, np.float32))).action[0] == 0.0


def test_more_joints_than_keys_are_refused(typist: Typist) -> None:
    with pytest.raises(HardwareError, match="reaches 10 joints an arm, this one has 11"):
        arm(typist, *(f"joint{place}" for place in range(11)))
