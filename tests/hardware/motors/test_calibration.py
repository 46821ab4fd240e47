"""Conversion between ticks and radians, and the calibration files."""

from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.motors.calibration import Calibration, JointCalibration, load_calibration, save_calibration


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        {
            "lift": JointCalibration(id=1, model="XL430-W250", low=-1.5, high=1.5),
            "flex": JointCalibration(id=7, model="XL330-M288", sign=-1, zero=1000, low=-0.5, high=2.0),
        }
    )


def test_zero_and_sign_place_a_joint(calibration: Calibration) -> None:
    radians = calibration.radians(np.array([2048 + 1024, 1000 + 1024], np.int32))
    np.testing.assert_allclose(radians, [np.pi / 2, -np.pi / 2], rtol=1e-6)
    assert radians.dtype == np.float32


def test_ticks_and_radians_round_trip_over_several_turns(calibration: Calibration) -> None:
    ticks = np.arange(-9000, 9000, 7, dtype=np.int32)
    both = np.stack([ticks, ticks[::-1]], axis=1)
    back = np.array([calibration.ticks(calibration.radians(row)) for row in both])
    np.testing.assert_array_equal(back, both)
    assert back.dtype == np.int32


def test_velocity_is_in_radians_a_second_along_the_joint(calibration: Calibration) -> None:
    np.testing.assert_allclose(calibration.velocity(np.array([100, 100], np.int32)), [2.3981, -2.3981], rtol=1e-4)


def test_effort_is_a_load_fraction_without_a_current_sensor_and_ampere_with_one(calibration: Calibration) -> None:
    np.testing.assert_allclose(calibration.effort(np.array([500, 500], np.int32)), [0.5, -0.5])


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="XL430-W250"):
        JointCalibration(id=1, model="AX-12", low=-1.0, high=1.0)


def test_a_range_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie below"):
        JointCalibration(id=1, model="XL430-W250", low=1.0, high=-1.0)


def test_a_saved_calibration_comes_back_the_same(calibration: Calibration, tmp_path: Path) -> None:
    save_calibration(calibration, tmp_path / "koch.calibration", "follower")
    loaded = load_calibration(tmp_path / "koch.calibration", "follower")
    assert loaded == calibration
    assert loaded.hash == calibration.hash
    assert list(loaded.motors.items()) == [(1, "XL430-W250"), (7, "XL330-M288")]


def test_calibrating_again_keeps_the_version_before(calibration: Calibration, tmp_path: Path) -> None:
    moved = Calibration({**calibration.joints, "lift": calibration.joints["lift"].model_copy(update={"zero": 2100})})
    first = save_calibration(calibration, tmp_path, "follower")
    second = save_calibration(moved, tmp_path, "follower")
    save_calibration(calibration, tmp_path, "leader")
    assert (first.name, second.name) == ("follower.0001.toml", "follower.0002.toml")
    assert load_calibration(tmp_path, "follower") == moved


def test_a_missing_calibration_names_the_searched_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"follower.*no calibration") as caught:
        load_calibration(tmp_path / "none", "follower")
    assert "docs/safety.md" in caught.value.hint


def test_an_edited_calibration_is_refused(calibration: Calibration, tmp_path: Path) -> None:
    path = save_calibration(calibration, tmp_path, "follower")
    path.write_text(path.read_text().replace("zero = 1000", "zero = 3048"))
    with pytest.raises(ConfigError, match="changed after it was written"):
        load_calibration(tmp_path, "follower")


def test_a_damaged_calibration_names_the_file_and_the_key(calibration: Calibration, tmp_path: Path) -> None:
    path = save_calibration(calibration, tmp_path, "follower")
    path.write_text(path.read_text().replace("sign = -1", "sign = 0"))
    with pytest.raises(ConfigError, match=r"follower\.0001\.toml.*flex\.sign"):
        load_calibration(tmp_path, "follower")
    path.write_text("arm = ")
    with pytest.raises(ConfigError, match="not TOML"):
        load_calibration(tmp_path, "follower")


def test_the_snapshot_is_plain_and_carries_the_hash(calibration: Calibration) -> None:
    snapshot = calibration.snapshot()
    assert snapshot["hash"] == calibration.hash
    assert snapshot["joints"]["flex"] == {
        "id": 7,
        "model": "XL330-M288",
        "sign": -1,
        "zero": 1000,
        "low": -0.5,
        "high": 2.0,
    }


def test_the_hash_differs_between_builds(calibration: Calibration) -> None:
    swapped = Calibration(dict(reversed(list(calibration.joints.items()))))
    assert swapped.hash != calibration.hash
