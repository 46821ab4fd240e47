"""Bench files: found by name, read strictly, and opened."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import ConfigError, HardwareError
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config import benches
from ebt_hardware.config.bench_tables import FollowerJoint, uncalibrated
from ebt_hardware.config.benches import DynamixelBench, TwinBench, list_benches, load_bench
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.pty_port import PtyPort, serve_pty
from ebt_hardware.motors.calibration import Calibration, save_calibration

SHIPPED = Path(benches.__file__).parents[1] / "benches"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def twin_text() -> str:
    return (SHIPPED / "twin.toml").read_text()


@pytest.mark.parametrize("name", ["twin", "twin_live", "twin_state", "koch", "omx"])
def test_every_shipped_bench_is_valid_and_opens_with_its_command(name: str) -> None:
    spec = load_bench(name).spec
    assert spec.name == name
    assert len(spec.joints) == 6
    assert spec.sim is name.startswith("twin")
    assert spec.lockstep is (name in {"twin", "twin_state"})
    assert (SHIPPED / f"{name}.toml").read_text().startswith(f"# ebt collect --bench {name}\n")


def test_the_twins_files_differ_in_their_clock_or_their_cameras_only() -> None:
    lockstep, live, blind = (load_bench(name).model_dump() for name in ("twin", "twin_live", "twin_state"))
    assert lockstep | {"clock": "wall"} == live
    assert lockstep | {"cameras": {}} == blind


def test_names_are_found_here_first_then_with_the_user_then_as_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twin_text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    assert load_bench("twin").rate_hz == 20.0
    for folder, rate in ((tmp_path / "user/ebt/benches", "15.0"), (tmp_path / "hardware/benches", "10.0")):
        folder.mkdir(parents=True)
        text = twin_text.replace("rate_hz = 20.0\n\n", f"rate_hz = {rate}\n\n")
        (folder / "twin.toml").write_text(text)
        (folder / f"only_{rate[:2]}.toml").write_text(text)
        assert load_bench("twin").rate_hz == float(rate)
    assert {"twin", "twin_live", "koch", "omx", "only_10", "only_15"} <= set(list_benches())


def test_a_path_is_taken_as_it_is(write: Write, twin_text: str) -> None:
    bench = load_bench(str(write(twin_text)))
    assert bench.name == "mine"
    assert bench.calibration_folder.name == "mine.calibration"


def test_an_unknown_name_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no bench called 'kcoh'; did you mean koch\?") as caught:
        load_bench("kcoh")
    assert "koch, omx, twin, twin_live" in caught.value.hint
    with pytest.raises(ConfigError, match="no bench file at"):
        load_bench(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "rate_hz = 20.0\n\n",
            "rate_hz = 20.0\nrat_hz = 5.0\n\n",
            r"mine\.toml: unknown key rat_hz; did you mean rate_hz\?",
        ),
        ("home = 0.0,", "hom = 0.0,", r"unknown key followers\.follower\.joints\.\w+\.hom; did you mean home\?"),
        ("height = 96", "hieght = 96", r"unknown key cameras\.top\.hieght; did you mean height\?"),
        ('leads = "follower"', 'leads = "left"', r"leaders\.leader\.leads = 'left'; followers: follower"),
        ('clock = "lockstep"', 'clock = "fast"', r"clock: Input should be 'lockstep' or 'wall', got 'fast'"),
        ('kind = "twin"', 'kind = "triplet"', "kind must be one of twin, dynamixel"),
        ('kind = "twin"', "", "kind must be one of twin, dynamixel"),
        ('"XL430-W250", low', '"AX-12", low', r"unknown motor model 'AX-12'; known: XL430-W250"),
        ("home = 1.685", "home = 4.0", r"elbow_flex: home = 4\.0 lies outside"),
        ("id = 1,", "id = 300,", r"shoulder_pan\.id.*252"),
        ("id = 1,", "id = 1, registers = { p_gain = 3 },", "has no register 'p_gain'"),
        ("[cameras]", "[safety]\nwatchdog_s = 5.0\n\n[cameras]", r"safety\.watchdog_s.*2\.54"),
        ("kind =", "kind = =", "not TOML"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_would_do(
    write: Write, twin_text: str, old: str, new: str, said: str
) -> None:
    assert old in twin_text
    path = write(twin_text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said) as caught:
        load_bench(str(path))
    assert str(path) in str(caught.value)


def test_a_leader_must_name_the_followers_joints(write: Write, twin_text: str) -> None:
    head, tail = twin_text.split("[leaders.leader.joints]")
    path = write(head + "[leaders.leader.joints]" + tail.replace("wrist_roll", "wrist_turn"))
    with pytest.raises(ConfigError, match=r"leader leader has joints .*wrist_turn"):
        load_bench(str(path))


def test_reading_a_bench_file_imports_no_device_library() -> None:
    code = (
        "import sys; from ebt_hardware.config.benches import load_bench; load_bench('koch').spec; load_bench('twin').spec;"
        "print([m for m in ('mujoco', 'pyrealsense2', 'dynamixel_sdk', 'torch', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_lockstep_twin_gives_the_same_episode_twice() -> None:
    def look() -> list[object]:
        with load_bench("twin").open() as bench:
            first = bench.reset(5)
            bench.act(first.position + np.float32(0.1))
            bench.wait()
            second = bench.observe()
        return [(o.time_s, o.position.tobytes(), o.frames["top"].image.tobytes()) for o in (first, second)]

    assert look() == look()


def test_the_lockstep_twin_gives_what_its_spec_says(twin: Bench) -> None:
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


REAL = """
kind = "dynamixel"
rate_hz = 100.0

[followers.follower]
port = "{port}"
[followers.follower.joints]
lift = {{ id = 4, model = "XL430-W250", low = -1.0, high = 1.0, park = -0.1, registers = {{ position_p_gain = 700 }} }}
gripper = {{ id = 9, model = "XL330-M288", low = 0.0, high = 1.4, tracking_rad = inf, registers = {{ operating_mode = 5 }} }}
"""


def calibrate(bench: TwinBench | DynamixelBench) -> Calibration:
    joints: dict[str, FollowerJoint] = bench.followers["follower"].joints
    calibration = uncalibrated(joints)
    save_calibration(calibration, bench.calibration_folder, "follower")
    return calibration


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


def test_an_arm_left_holding_can_be_let_go(write: Write) -> None:
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


def test_a_missing_port_says_what_to_do(write: Write, tmp_path: Path) -> None:
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


def test_a_pose_outside_the_calibrated_range_is_refused(write: Write) -> None:
    file = load_bench(str(write(REAL.format(port="/dev/null"))))
    joints = calibrate(file).joints
    tight = Calibration({**joints, "lift": joints["lift"].model_copy(update={"low": 0.0})})
    save_calibration(tight, file.calibration_folder, "follower")
    with pytest.raises(ConfigError, match=r"lift: a pose of -0\.10 rad lies outside 0\.00 to 1\.00"):
        file.open()
