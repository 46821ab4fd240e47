"""Teleoperation: the follower mirrors the leader, without a jump."""

from dataclasses import replace

import numpy as np
import pytest

from ebt_data.errors import HardwareError
from ebt_data.step import Actor, Decision, Joints, Observation
from ebt_hardware.config.benches import load_bench
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.bus import DynamixelBus
from ebt_hardware.motors.bus_errors import MotorSilent
from ebt_hardware.motors.calibration import Calibration, JointCalibration
from ebt_hardware.teleop.leader_arm import LeaderArm, LeaderPair, ScriptedLeader

SPEED_RAD_S = 1.0
PERIOD_S = 0.05


def row(*values: float) -> Joints:
    return np.array(values, np.float32)


def see(position: Joints, tick: int) -> Observation:
    still = np.zeros_like(position)
    return Observation(tick * PERIOD_S, tick * PERIOD_S, position, still, still, {})


class Hand:
    """A leader arm and the horns that a hand turns; joints in another order than the follower's."""

    def __init__(self) -> None:
        self.horns = {"gripper": FreeShaft(0.0), "flex": FreeShaft(-0.5), "lift": FreeShaft(0.3)}
        motors = [EmulatedMotor("XL330-M077", number, horn) for number, horn in enumerate(self.horns.values(), 1)]
        self.emulator = Emulator(motors)
        self.leader = arm(
            self.emulator,
            gripper=JointCalibration(id=1, model="XL330-M077", low=-0.7, high=0.7),
            flex=JointCalibration(id=2, model="XL330-M077", sign=-1, low=-1.0, high=2.0),
            lift=JointCalibration(id=3, model="XL330-M077", low=-1.5, high=1.5),
        )


def arm(emulator: Emulator, **joints: JointCalibration) -> Arm:
    calibration = Calibration(joints)
    return Arm("leader", DynamixelBus(LoopbackPort(emulator), calibration.motors), calibration)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def follower() -> Arm:
    horns = [FreeShaft() for _ in range(3)]
    models = ("XL430-W250", "XL330-M288", "XL330-M288")
    emulator = Emulator(
        [EmulatedMotor(model, n, horn) for n, (model, horn) in enumerate(zip(models, horns, strict=True))]
    )
    return arm(
        emulator,
        lift=JointCalibration(id=0, model="XL430-W250", low=-1.5, high=1.5),
        flex=JointCalibration(id=1, model="XL330-M288", low=-1.0, high=2.0),
        gripper=JointCalibration(id=2, model="XL330-M288", low=0.0, high=1.4),
    )


@pytest.fixture
def agent(hand: Hand, follower: Arm) -> LeaderArm:
    return LeaderArm([LeaderPair(hand.leader, follower)], SPEED_RAD_S)


def follow(agent: LeaderArm, position: Joints, ticks: int) -> list[Decision]:
    agent.reset(see(position, 0))
    return [agent.decide(see(position, tick)) for tick in range(ticks)]


def test_the_leader_has_no_torque_so_that_a_hand_can_move_it(hand: Hand, follower: Arm) -> None:
    for motor in hand.emulator.motors.values():
        motor.write(64, b"\x01")
    LeaderArm([LeaderPair(hand.leader, follower)], SPEED_RAD_S)
    assert [motor["torque_enable"] for motor in hand.emulator.motors.values()] == [0, 0, 0]


def test_joints_are_matched_by_name_and_a_gripper_by_its_range(agent: LeaderArm, follower: Arm) -> None:
    decision = follow(agent, row(0.3, 0.5, 0.7), 3)[-1]
    np.testing.assert_allclose(decision.action, [0.3, 0.5, 0.7], atol=2e-3)  # the trigger half way: half open
    assert decision.actor is Actor.HUMAN
    assert np.isnan(decision.energy)


def test_the_ends_of_a_trigger_are_the_ends_of_the_gripper(agent: LeaderArm, hand: Hand) -> None:
    hand.horns["gripper"].set_position(0.7)
    assert follow(agent, row(0.3, 0.5, 1.4), 3)[-1].action[2] == pytest.approx(1.4, abs=2e-3)
    hand.horns["gripper"].set_position(-0.7)
    assert follow(agent, row(0.3, 0.5, 0.0), 3)[-1].action[2] == pytest.approx(0.0, abs=2e-3)


def test_engaging_ramps_from_the_follower_to_the_leader(agent: LeaderArm) -> None:
    start = row(-0.7, 0.5, 0.7)
    decisions = follow(agent, start, 30)
    path = np.array([start, *(decision.action for decision in decisions)])
    assert np.abs(np.diff(path, axis=0)).max() <= SPEED_RAD_S * PERIOD_S + 1e-4
    assert path[-1][0] == pytest.approx(0.3, abs=2e-3)
    events = [event.kind for decision in decisions for event in decision.events]
    assert events == ["engage"]


def test_once_engaged_the_leader_is_followed_at_once(agent: LeaderArm, hand: Hand) -> None:
    follow(agent, row(0.3, 0.5, 0.7), 3)
    assert agent.engaged
    hand.horns["lift"].set_position(1.0)
    assert agent.decide(see(row(0.3, 0.5, 0.7), 4)).action[0] == pytest.approx(1.0, abs=2e-3)


def test_a_new_episode_engages_again(agent: LeaderArm) -> None:
    follow(agent, row(0.3, 0.5, 0.7), 3)
    agent.reset(see(row(-0.9, 0.5, 0.7), 0))
    assert agent.decide(see(row(-0.9, 0.5, 0.7), 0)).action[0] == pytest.approx(-0.9, abs=2e-3)
    assert not agent.engaged


def test_a_leader_far_out_of_its_range_is_refused(hand: Hand, follower: Arm) -> None:
    hand.horns["lift"].set_position(2.5)
    with pytest.raises(HardwareError, match=r"leader's lift is at 2\.50 rad, calibrated for -1\.50 to 1\.50"):
        LeaderArm([LeaderPair(hand.leader, follower)], SPEED_RAD_S)


def test_a_silent_leader_is_named(hand: Hand, follower: Arm) -> None:
    hand.emulator.mute(3)
    with pytest.raises(MotorSilent, match="motor 3"):
        LeaderArm([LeaderPair(hand.leader, follower)], SPEED_RAD_S)


def test_two_leaders_lead_two_followers(hand: Hand, follower: Arm) -> None:
    other = Hand()
    other.horns["lift"].set_position(-0.2)
    both = LeaderArm([LeaderPair(hand.leader, follower), LeaderPair(other.leader, follower)], SPEED_RAD_S)
    action = follow(both, row(0.3, 0.5, 0.7, -0.2, 0.5, 0.7), 3)[-1].action
    np.testing.assert_allclose(action, [0.3, 0.5, 0.7, -0.2, 0.5, 0.7], atol=2e-3)


def test_the_twins_operator_demonstrates_through_the_leader_arm() -> None:
    file = load_bench("twin")
    file = file.model_copy(update={"cameras": {}})
    with file.open() as bench:
        agent = file.open_leader(bench)
        assert isinstance(agent, ScriptedLeader)
        observation = bench.reset(1)
        agent.reset(observation)
        for _ in range(400):
            decision = agent.decide(observation)
            bench.act(decision.action)
            bench.wait()
            observation = bench.observe()
            if decision.done:
                break
        assert decision.done
        assert bench.succeeded()


def test_a_bench_without_a_leader_is_refused() -> None:
    file = load_bench("twin")
    file = file.model_copy(update={"cameras": {}, "leaders": {}})
    with file.open() as bench, pytest.raises(Exception, match="no leader leads 'follower'"):
        file.open_leader(bench)


def test_decisions_do_not_share_memory_with_the_agent(agent: LeaderArm) -> None:
    first = follow(agent, row(-0.7, 0.5, 0.7), 5)[-1]
    kept = replace(first, action=first.action.copy())
    agent.decide(see(row(-0.7, 0.5, 0.7), 9))
    np.testing.assert_array_equal(first.action, kept.action)
