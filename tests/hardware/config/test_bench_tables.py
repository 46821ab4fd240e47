"""Limits and poses of bench file and calibration together."""

import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.config.benches import load_bench
from ebt_hardware.motors.calibration import Calibration, save_calibration
from tests.hardware.config.conftest import REAL, Write, calibrate


def test_a_pose_outside_the_calibrated_range_is_refused(write: Write) -> None:
    file = load_bench(str(write(REAL.format(port="/dev/null"))))
    joints = calibrate(file).joints
    tight = Calibration({**joints, "lift": joints["lift"].model_copy(update={"low": 0.0})})
    save_calibration(tight, file.calibration_folder, "follower")
    with pytest.raises(ConfigError, match=r"lift: a pose of -0\.10 rad lies outside 0\.00 to 1\.00"):
        file.open()
