"""Benches are opened as their files say, or refused."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import ConfigError, HardwareError
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import DynamixelBench, load_bench
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from tests.hardware.config.conftest import REAL, Write, calibrate


def test_the_lockstep_twin_gives_the_same_episode_twice() -> None:
    def observe() -> list[object]:
        with load_bench("twin").open() as bench:
            first = bench.reset(5)
            bench.act(first.position + np.float32(0.1))
            bench.wait()
            second = bench.observe()
        return [(o.time_s, o.position.tobytes(), o.frames["top"].image.tobytes()) for o in (first, second)]

    assert observe() == observe()


def test_the_lockstep_twin_matches_its_spec(twin: Bench) -> None:
    observation = twin.reset(0)
    assert set(observation.frames) == set(twin.spec.cameras) == {"top", "wrist"}
    for name, camera in twin.spec.cameras.items():
        frame = observation.frames[name]
        assert frame.image.shape == (camera.height, camera.width, 3)
        assert 0.0 <= frame.age_s < 1 / camera.rate_hz + 1e-6
    assert "cube" in observation.privileged
    assert twin.succeeded() is False


def test_the_twin_refuses_what_it_does_not_have(write: Write, twin_text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml: the twin has no task 'pick_plaice'; did you mean pick_place"):
        load_bench(str(write(twin_text.replace('task = "pick_place"', 'task = "pick_plaice"'))))
    with pytest.raises(ConfigError, match="no camera 'side'"):
        load_bench(str(write(twin_text.replace("top = {", "side = {")))).open()
    with pytest.raises(ConfigError, match="no arm 'left'"):
        text = twin_text.replace("followers.follower", "followers.left").replace('leads = "follower"', 'leads = "left"')
        load_bench(str(write(text))).open()


def test_a_real_bench_without_calibration_does_not_open() -> None:
    with pytest.raises(ConfigError, match="arm 'follower' has no calibration"):
        load_bench("koch").open()


@contextmanager
def on_a_pty(emulator: Emulator) -> Iterator[str]:
    port, stop = PtyPort(emulator), threading.Event()
    thread = threading.Thread(target=serve_pty, args=([port], stop, emulator.update))
    thread.start()
    try:
        yield port.path
    finally:
        stop.set()
        thread.join()
        port.close()


def test_a_real_bench_drives_motors_on_a_serial_port(write: Write) -> None:
    emulator = Emulator(
        [EmulatedMotor("XL430-W250", 4, FreeShaft(0.1)), EmulatedMotor("XL330-M288", 9, FreeShaft(0.2))]
    )
    with on_a_pty(emulator) as port:
        file = load_bench(str(write(REAL.format(port=port))))
        calibrate(file)
        with file.open() as bench:
            np.testing.assert_allclose(bench.observe().position, [0.1, 0.2], atol=2e-3)
            assert emulator[4]["position_p_gain"] == 700
            assert emulator[9]["operating_mode"] == 5
            assert emulator[4]["torque_enable"] == 1
            bench.release()
            assert emulator[4]["torque_enable"] == 0


def test_an_arm_left_holding_can_be_released(write: Write) -> None:
    emulator = Emulator([EmulatedMotor("XL430-W250", 4, FreeShaft()), EmulatedMotor("XL330-M288", 9, FreeShaft())])
    for motor in emulator.motors.values():
        motor.write(64, b"\x01")
    emulator.mute(9)
    with on_a_pty(emulator) as port:
        file = load_bench(str(write(REAL.format(port=port))))
        assert isinstance(file, DynamixelBench)
        with pytest.raises(HardwareError, match="motor 9"):
            file.release()
        emulator.unmute(9)
        assert file.release() == ("follower",)
    assert [motor["torque_enable"] for motor in emulator.motors.values()] == [0, 0]


def test_a_missing_port_gives_a_hint(write: Write, tmp_path: Path) -> None:
    file = load_bench(str(write(REAL.format(port=tmp_path / "gone"))))
    calibrate(file)
    with pytest.raises(HardwareError, match=r"cannot open .*gone") as caught, file.open():
        pass
    assert "ebt doctor" in caught.value.hint


def test_a_calibration_of_other_motors_is_refused(write: Write) -> None:
    file = load_bench(str(write(REAL.format(port="/dev/null"))))
    calibrate(file)
    path = write(REAL.format(port="/dev/null").replace("id = 4", "id = 5"))
    with pytest.raises(ConfigError, match=r"follower has motors .*5.*calibration .*4"):
        load_bench(str(path)).open()
