"""A RealSense camera without hardware: an `rs.software_device` that streams the frames pushed into it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ebt_data.step import CameraSpec, Depth, Image
from ebt_hardware.cameras.realsense import import_realsense


@dataclass(frozen=True)
class Exposure:
    """Result of one exposure."""

    number: int
    """Counts every exposure of this camera, delivered or not."""
    stamp_s: float
    """Start of the exposure, on the source's clock."""
    image: Image
    depth: Depth | None = None


class SoftwareCamera:
    """Streams colour, and depth if the spec has a depth unit; `device` is for `RealSenseCamera`."""

    def __init__(self, name: str, spec: CameraSpec) -> None:
        rs = self._rs = import_realsense()
        self._spec = spec
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "EBT twin camera")
        self.device.register_info(rs.camera_info.serial_number, f"TWIN-{name}")
        self._colour = self.device.add_sensor("RGB Camera")
        self._colour.add_video_stream(self._stream(rs.stream.color, 1, rs.format.rgb8, 3))
        self._depth = None
        if spec.depth_unit_m is not None:
            self._depth = self.device.add_sensor("Stereo Module")
            self._depth.add_video_stream(self._stream(rs.stream.depth, 2, rs.format.z16, 2))
            self._depth.add_read_only_option(rs.option.depth_units, spec.depth_unit_m)

    def push(self, exposure: Exposure, arrival_s: float) -> None:
        """Push a frame; it is in the pipeline when this returns. Pixels are copied."""
        if self._depth is not None and exposure.depth is not None:
            self._send(self._depth, exposure, exposure.depth, arrival_s)
        self._send(self._colour, exposure, exposure.image, arrival_s)

    def _stream(self, kind: Any, uid: int, pixel: Any, bytes_per_pixel: int) -> Any:
        stream = self._rs.video_stream()
        stream.type, stream.uid, stream.fmt, stream.bpp = kind, uid, pixel, bytes_per_pixel
        stream.width, stream.height, stream.fps = self._spec.width, self._spec.height, round(self._spec.rate_hz)
        return stream

    def _send(self, sensor: Any, exposure: Exposure, pixels: Image | Depth, arrival_s: float) -> None:
        rs = self._rs
        frame = rs.software_video_frame()  # a new one each time: librealsense keeps the object
        frame.pixels = np.ascontiguousarray(pixels)
        frame.bpp = pixels.strides[-1] * (pixels.shape[2] if pixels.ndim == 3 else 1)
        frame.stride = frame.bpp * pixels.shape[1]
        frame.timestamp = exposure.stamp_s * 1000
        frame.domain = rs.timestamp_domain.global_time
        frame.frame_number = exposure.number
        frame.profile = sensor.get_stream_profiles()[0].as_video_stream_profile()
        if pixels.ndim == 2:
            frame.depth_units = self._spec.depth_unit_m
        sensor.set_metadata(
            rs.frame_metadata_value.time_of_arrival, int(arrival_s * 1000)
        )  # rounded down: an arrival is never in the future
        sensor.on_video_frame(frame)
