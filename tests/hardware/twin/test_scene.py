"""The model's arms: every joint has its motors, and one motor moves both fingers."""

import mujoco
import numpy as np
import pytest

from ebt_hardware.twin.scene import FINGER_TRAVEL_M_PER_RAD, JOINTS, RANGES, bench_xml


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(bench_xml(""))


def test_every_joint_has_a_motor_and_the_leader_a_hand_as_well(model: mujoco.MjModel) -> None:
    names = [model.actuator(index).name for index in range(model.nu)]
    assert names == [f"{owner}/{joint}" for owner in ("follower", "leader", "hand") for joint in JOINTS]
    for arm in ("follower", "leader"):
        assert {joint: tuple(model.joint(f"{arm}/{joint}").range) for joint in JOINTS[:5]} == RANGES


@pytest.mark.parametrize("arm", ["follower", "leader"])
def test_the_gripper_motors_angle_is_the_travel_of_both_fingers(model: mujoco.MjModel, arm: str) -> None:
    data = mujoco.MjData(model)
    for side in ("left", "right"):
        data.joint(f"{arm}/finger_{side}").qpos[0] = 0.8 * FINGER_TRAVEL_M_PER_RAD
    mujoco.mj_forward(model, data)
    assert data.actuator(f"{arm}/gripper").length[0] == pytest.approx(0.8)


def test_only_the_followers_hand_collides(model: mujoco.MjModel) -> None:
    touching = {model.body(int(model.geom_bodyid[geom])).name for geom in np.flatnonzero(model.geom_contype)}
    assert touching == {"world", "follower/hand", "follower/finger_left", "follower/finger_right"}
