"""The software camera matches its spec."""

import pytest

from ebt_data.errors import HardwareError
from ebt_data.step import CameraSpec
from ebt_hardware.cameras.realsense import import_realsense
from ebt_hardware.twin.render.software_device import SoftwareCamera

try:
    rs = import_realsense()
except HardwareError as missing:
    pytest.skip(str(missing), allow_module_level=True)


def test_a_camera_offers_the_one_mode_of_its_spec() -> None:
    camera = SoftwareCamera("top", CameraSpec(height=48, width=64, rate_hz=30))
    assert camera.device.get_info(rs.camera_info.serial_number) == "TWIN-top"
    (sensor,) = camera.device.query_sensors()
    (profile,) = (profile.as_video_stream_profile() for profile in sensor.get_stream_profiles())
    assert (profile.height(), profile.width(), profile.fps()) == (48, 64, 30)
    assert (profile.stream_type(), profile.format()) == (rs.stream.color, rs.format.rgb8)


def test_depth_is_a_sensor_of_its_own_with_the_specs_unit() -> None:
    camera = SoftwareCamera("wrist", CameraSpec(height=48, width=64, rate_hz=30, depth_unit_m=0.0005))
    colour, depth = camera.device.query_sensors()
    assert depth.get_option(rs.option.depth_units) == pytest.approx(0.0005)
    assert not colour.supports(rs.option.depth_units)
    (profile,) = depth.get_stream_profiles()
    assert (profile.stream_type(), profile.format()) == (rs.stream.depth, rs.format.z16)
