"""The guarantees of the motor driver, on an in-memory port and on a pty."""

import numpy as np
import pytest

from ebt_data.errors import ConfigError, HardwareError
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.bus import BusLost, DynamixelBus, MotorSilent, Refused, WrongMotors
from tests.hardware.motors.conftest import MODELS, Rig


def test_motors_go_where_they_are_sent(rig: Rig) -> None:
    start = rig.bus.read().position
    np.testing.assert_array_equal(start, [2048 + round(0.1 * motor_id * 4096 / (2 * np.pi)) for motor_id in MODELS])
    goal = start + np.array([100, -100, 200, -200], np.int32)
    rig.bus.write_goal(start)
    rig.bus.set_torque(True)
    rig.bus.write_goal(goal)
    rig.pass_time(1.0)
    state = rig.bus.read()
    assert np.abs(state.position - goal).max() <= 1
    assert state.fresh.all()
    assert not state.alert.any()


def test_the_order_of_ids_is_kept(rig: Rig) -> None:
    rig.bus.close()
    order = {3: MODELS[3], 1: MODELS[1]}
    bus = DynamixelBus(rig.open_port(), order)
    bus.connect()
    bus.write_goal(np.array([333, 111], np.int32))
    state = bus.read()
    bus.close()
    assert bus.ids == (3, 1)
    assert state.position[0] > state.position[1]
    assert rig.emulator[3]["goal_position"] == 333
    assert rig.emulator[1]["goal_position"] == 111


def test_positions_below_zero_and_beyond_a_turn_survive(rig: Rig) -> None:
    rig.bus.write("operating_mode", 4)
    goal = np.array([-5000, -1, 1_000_000, -1_048_575], np.int32)
    rig.bus.write_goal(goal)
    assert list(rig.bus.read_register("goal_position").values()) == list(goal)
    for motor_id, ticks in zip(MODELS, goal, strict=True):
        rig.shaft(motor_id).set_position((float(ticks) - 2048) * 2 * np.pi / 4096)
    np.testing.assert_array_equal(rig.bus.read().position, goal)


def test_bytes_that_look_like_a_header_are_stuffed_both_ways(rig: Rig) -> None:
    rig.bus.write("operating_mode", 4)
    goal = np.array([-131_073, -131_073, 7, -131_073], np.int32)  # FF FF FD FF
    rig.bus.write_goal(goal)
    assert list(rig.bus.read_register("goal_position").values()) == list(goal)
    rig.bus.write("goal_position", -131_073)
    assert set(rig.bus.read_register("goal_position").values()) == {-131_073}


def test_torque_is_switched_and_read_back(rig: Rig) -> None:
    assert not rig.bus.torque().any()
    rig.bus.set_torque(True)
    assert rig.bus.torque().all()
    rig.bus.set_torque(False)
    assert not rig.bus.torque().any()
    assert [rig.emulator[motor_id]["torque_enable"] for motor_id in MODELS] == [0, 0, 0, 0]


def test_each_motor_can_be_written_its_own_value(rig: Rig) -> None:
    rig.bus.write("profile_velocity", {2: 50, 4: 70})
    assert rig.bus.read_register("profile_velocity") == {1: 0, 2: 50, 3: 0, 4: 70}


def test_a_register_that_a_model_lacks_is_named_with_those_it_has(rig: Rig) -> None:
    with pytest.raises(HardwareError, match=r"XL430-W250 has no register 'goal_current'.*goal_position"):
        rig.bus.write("goal_current", 100)


def test_a_silent_motor_hides_no_other_and_ends_the_read_only_after_five(rig: Rig) -> None:
    before = rig.bus.read().position
    rig.emulator.mute(2)
    for motor_id in MODELS:
        rig.shaft(motor_id).set_position(0.0)
    for _ in range(4):
        state = rig.bus.read()
        np.testing.assert_array_equal(state.fresh, [True, False, True, True])
        np.testing.assert_array_equal(state.position, [2048, before[1], 2048, 2048])
    with pytest.raises(
        MotorSilent, match=r"motor 2 does not answer \(5 reads in a row\); found motors 1, 3, 4"
    ) as info:
        rig.bus.read()
    assert isinstance(info.value, BusLost)
    assert info.value.missing == (2,)
    assert "ebt doctor" in info.value.hint
    assert rig.bus.missed == {1: 0, 2: 5, 3: 0, 4: 0}


def test_a_motor_that_answers_again_resets_its_count(rig: Rig) -> None:
    for _ in range(3):
        rig.emulator.mute(4)
        for _ in range(4):
            rig.bus.read()
        rig.emulator.unmute(4)
        assert rig.bus.read().fresh.all()


def test_a_damaged_reply_is_requested_again_and_counted(rig: Rig) -> None:
    rig.emulator.corrupt_next(1)
    assert rig.bus.read().fresh.all()
    assert rig.bus.corrupted >= 1
    assert sum(rig.bus.missed.values()) == 0


@pytest.mark.parametrize("packets", range(1, 9))
def test_no_corrupted_packet_gives_a_wrong_position(rig: Rig, packets: int) -> None:
    right = rig.bus.read().position
    for _ in range(4):  # one fewer than ends the bench
        rig.emulator.corrupt_next(packets)
        state = rig.bus.read()
        np.testing.assert_array_equal(state.position, right)
    rig.emulator.corrupt_next(0)
    assert rig.bus.read().fresh.all()


def test_a_lossy_cable_costs_reads_but_not_the_bench(rig: Rig) -> None:
    rig.emulator.drop(0.02, seed=1)
    fresh = [rig.bus.read().fresh.all() for _ in range(100)]
    assert sum(fresh) >= 95


def test_health_names_a_motor_that_does_not_answer(rig: Rig) -> None:
    rig.emulator.mute(1)
    with pytest.raises(MotorSilent, match="motor 1 does not answer; found motors 2, 3, 4"):
        rig.bus.health()
    assert rig.bus.health([2]).keys() == {2}


def test_pulling_the_plug_is_noticed_by_the_next_read(rig: Rig) -> None:
    rig.bus.read()
    rig.emulator.unplug()
    with pytest.raises(BusLost, match=f"lost the motors on {rig.bus.port.port_name}") as info:
        rig.bus.read()
    assert "ebt doctor" in info.value.hint
    for call in (rig.bus.read, rig.bus.torque, rig.bus.health, lambda: rig.bus.write_goal(np.zeros(4, np.int32))):
        with pytest.raises(BusLost):
            call()
    rig.bus.close()


def test_an_armed_watchdog_stops_a_motor_that_receives_nothing_and_it_holds(rig: Rig) -> None:
    start = rig.bus.read().position
    rig.bus.write("profile_velocity", 30)
    rig.bus.write_goal(start)
    rig.bus.set_torque(True)
    rig.bus.arm_watchdog(0.1)
    rig.bus.write_goal(start + 1000)
    rig.pass_time(0.4)  # nothing is sent meanwhile
    assert rig.emulator[1]["bus_watchdog"] == -1
    stopped = rig.bus.read().position
    assert (stopped - start < 200).all()
    assert rig.bus.watchdog_tripped() == rig.bus.ids
    assert rig.bus.torque().all()
    rig.bus.write_goal(start + 1000)
    rig.pass_time(0.5)
    assert np.abs(rig.bus.read().position - stopped).max() <= 2, "refused goals must not move it"
    with pytest.raises(Refused, match="watchdog"):
        rig.bus.write("goal_position", 2000)


def test_a_tripped_watchdog_can_be_armed_again(rig: Rig) -> None:
    rig.bus.write_goal(rig.bus.read().position)
    rig.bus.set_torque(True)
    rig.bus.arm_watchdog(0.1)
    rig.pass_time(0.2)
    assert rig.bus.watchdog_tripped() == rig.bus.ids
    goal = rig.bus.read().position
    rig.bus.arm_watchdog(0.1)
    assert rig.bus.watchdog_tripped() == ()
    rig.bus.write_goal(goal + 50)
    for _ in range(10):
        rig.pass_time(0.05)  # reads in between feed it
    assert rig.bus.watchdog_tripped() == ()
    assert np.abs(rig.bus.read().position - goal - 50).max() <= 1
    rig.bus.arm_watchdog(None)
    rig.pass_time(3.0)
    assert rig.bus.watchdog_tripped() == ()


@pytest.mark.parametrize("timeout_s", [0.0, 2.56, -1.0])
def test_a_watchdog_that_the_register_cannot_hold_is_refused(rig: Rig, timeout_s: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.02 and 2\.54"):
        rig.bus.arm_watchdog(timeout_s)


@pytest.mark.parametrize("on", [False, True])
def test_closing_never_changes_torque(rig: Rig, on: bool) -> None:
    rig.bus.set_torque(on)
    rig.bus.close()
    rig.bus.close()
    assert [rig.emulator[motor_id]["torque_enable"] for motor_id in MODELS] == [on] * 4


def test_connecting_never_changes_torque(rig: Rig) -> None:
    rig.bus.set_torque(True)
    rig.bus.close()
    rig.bus.connect()
    assert rig.bus.torque().all()


def test_all_wrong_models_are_named_at_once(rig: Rig) -> None:
    rig.bus.close()
    bus = DynamixelBus(rig.open_port(), {1: "XL330-M288", 3: "XM430-W350", 4: "XL330-M288"})
    with pytest.raises(
        WrongMotors, match="motor 1 is XL430-W250, expected XL330-M288; motor 3 is XL330-M288, expected XM"
    ):
        bus.connect()


def test_firmware_is_known_after_connecting(rig: Rig) -> None:
    assert rig.bus.firmware == dict.fromkeys(MODELS, 52)


def test_an_unknown_model_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match="unknown motor model 'XL999'; known: XL430-W250"):
        DynamixelBus(LoopbackPort(Emulator([])), {1: "XL999"})


def test_an_interrupted_transaction_leaves_the_bus_usable() -> None:
    emulator = Emulator(EmulatedMotor(model, motor_id, FreeShaft()) for motor_id, model in MODELS.items())
    bus = DynamixelBus(LoopbackPort(emulator), MODELS)
    bus.connect()

    def interrupt() -> float:
        raise KeyboardInterrupt

    emulator.clock = interrupt  # as Ctrl-C would, in the middle of a write
    with pytest.raises(KeyboardInterrupt):
        bus.write_goal(bus.read().position)
    emulator.clock = lambda: 0.0
    assert bus.read().fresh.all()


def test_a_velocity_and_position_that_spell_a_header_are_read_right() -> None:
    class Drifting:
        """A horn at 2045 ticks (FD 07) that turns at one unit backwards (FF FF FF FF)."""

        def position(self) -> float:
            return -3 * 2 * np.pi / 4096

        def velocity(self) -> float:
            return -0.024

        def effort(self) -> float:
            return 0.0

        def drive(self, goal_rad: float | None, effort_limit: float) -> None: ...

    bus = DynamixelBus(LoopbackPort(Emulator([EmulatedMotor("XL430-W250", 1, Drifting())])), {1: "XL430-W250"})
    bus.connect()
    state = bus.read()
    assert state.fresh.all()
    assert state.velocity.tolist() == [-1]
    assert state.position.tolist() == [2045]
