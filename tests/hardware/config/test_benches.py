"""Bench files: found by name and read strictly."""

import subprocess
import sys
from pathlib import Path

import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.config.benches import list_benches, load_bench
from tests.hardware.config.conftest import SHIPPED, Write


@pytest.mark.parametrize("name", ["twin", "twin_live", "twin_state", "koch", "omx"])
def test_every_shipped_bench_is_valid_and_starts_with_its_command(name: str) -> None:
    spec = load_bench(name).spec
    assert spec.name == name
    assert len(spec.joints) == 6
    assert spec.sim is name.startswith("twin")
    assert spec.lockstep is (name in {"twin", "twin_state"})
    assert (SHIPPED / f"{name}.toml").read_text().startswith(f"# ebt collect --bench {name}\n")


def test_the_twins_files_differ_in_their_clock_or_their_cameras_only() -> None:
    lockstep, live, without_cameras = (load_bench(name).model_dump() for name in ("twin", "twin_live", "twin_state"))
    assert lockstep | {"clock": "wall"} == live
    assert lockstep | {"cameras": {}} == without_cameras


def test_names_are_found_here_first_then_with_the_user_then_in_the_package(
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


def test_an_unknown_name_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no bench called 'kcoh'; did you mean koch\?") as caught:
        load_bench("kcoh")
    assert "koch, omx, twin, twin_live" in caught.value.hint
    with pytest.raises(ConfigError, match="no bench file at"):
        load_bench(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
def test_a_mistake_names_the_file_the_key_and_valid_choices(
    write: Write, twin_text: str, old: str, new: str, message: str
) -> None:
    assert old in twin_text
    path = write(twin_text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message) as caught:
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
