"""Two arms are one row of joints."""

import numpy as np
import pytest

from ebt_hardware.bench.bench import Bench
from ebt_hardware.safety.supervisor import ReadsMissed
from tests.hardware.bench.conftest import HOME, Room, build, row, run, torque


@pytest.fixture
def pair(room: Room) -> Bench:
    return build(room, room.add("left"), room.add("right"))


def test_two_followers_put_their_names_before_their_joints(pair: Bench) -> None:
    assert pair.spec.joints[0] == "left/lift"
    assert pair.spec.joints[3:] == ("right/lift", "right/flex", "right/gripper")
    with pair:
        assert set(pair.calibration) == {"left", "right"}


def test_each_of_two_followers_gets_its_own_part(pair: Bench, room: Room) -> None:
    action = row((0.4, 1.1, 0.9, 0.2, 1.3, 1.1))
    with pair:
        pair.reset()
        run(pair, 20, action)
        np.testing.assert_allclose(pair.observe().position, action, atol=0.05)


def test_a_fault_in_one_arm_holds_both(pair: Bench, room: Room) -> None:
    with pytest.raises(ReadsMissed, match="right/flex"), pair:
        pair.reset()
        room.emulators[1].mute(2)
        run(pair, 20, row(HOME * 2))
    assert torque(room.emulators[0]) == torque(room.emulators[1]) == [1, 1, 1]
