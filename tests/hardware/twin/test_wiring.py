import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.twin.wiring import KOCH, emulate, emulators
from ebt_hardware.twin.world import TwinWorld


@pytest.fixture(scope="module")
def world() -> TwinWorld:
    return TwinWorld()


def test_every_arm_gets_the_motors_of_a_koch() -> None:
    buses = emulators(TwinWorld())
    assert {arm: sorted(bus.motors) for arm, bus in buses.items()} == {arm: [1, 2, 3, 4, 5, 6] for arm in KOCH}
    assert buses["follower"][1]["model_number"] == 1060  # XL430-W250, as in the e-manual
    assert buses["follower"][6]["model_number"] == 1200  # XL330-M288
    assert buses["leader"][1]["model_number"] == 1190  # XL330-M077


def test_a_motor_turns_its_joint_as_the_world_advances() -> None:
    world = TwinWorld()
    bus = emulators(world)["follower"]
    motor, shaft = bus[1], world.arms["follower"].shafts[0]
    motor.write(64, b"\x01")
    motor.write(116, (2048 + 300).to_bytes(4, "little"))
    world.advance(1.5)
    assert shaft.position() == pytest.approx(300 * 2 * 3.14159 / 4096, abs=0.05)
    assert bus.time_s == pytest.approx(1.5)


def test_an_arm_that_is_not_there_is_named_with_those_that_are(world: TwinWorld) -> None:
    with pytest.raises(ConfigError, match="no arm 'left'; it has follower, leader"):
        emulate(world, "left", {1: "XL430-W250"})


def test_a_chain_of_another_length_is_refused(world: TwinWorld) -> None:
    with pytest.raises(ConfigError, match="follower has 6 joints, the bench file names 1"):
        emulate(world, "follower", {1: "XL430-W250"})
