"""The horn of an emulated motor."""

import pytest

from tests.hardware.emulator.conftest import Bench


def test_without_torque_the_horn_gives_way_and_with_it_it_holds(bench: Bench) -> None:
    bench.shafts[1].load = 0.2
    bench.hold(1)
    bench.pass_time(0.5)
    held = bench.emulator[1]["present_position"]
    assert abs(held - 2048) < 30, "it sags a little, as without an integral gain"
    assert bench.emulator[1]["present_load"] == pytest.approx(-200, abs=5)
    bench.write(1, "torque_enable", 0)
    bench.pass_time(0.5)
    assert bench.emulator[1]["present_position"] > held + 100
