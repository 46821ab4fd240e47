"""Bench files to edit, and a calibrated bench on a serial port."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ebt_hardware.config import benches
from ebt_hardware.config.bench_tables import FollowerJoint, uncalibrated
from ebt_hardware.config.benches import DynamixelBench, TwinBench
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
