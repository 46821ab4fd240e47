"""One driver for RealSense cameras: an `rs.pipeline` on a connected device, or on the twin's software device."""

import ctypes
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ebt_data.errors import HardwareError
from ebt_data.step import CameraSpec, Depth, Frame, Image
from ebt_hardware.device import Clock

FIRST_FRAME_S = 5.0  # librealsense's own timeout for a frame: https://dev.intelrealsense.com/docs/api-how-to
LOCKSTEP_WAIT_S = 2.0  # real time; a pushed frame arrives within a millisecond
STALL_S = 2.0
_HINT = "`ebt doctor` lists every connected camera; check the cable and use a USB 3 port"


@cache
def import_realsense() -> Any:
    """The `pyrealsense2` module, with the libusb it links preloaded from the `libusb-package` wheel.

    Raises:
        HardwareError: there is no wheel for this machine, or it does not load.
    """
    os.environ.setdefault("RS2_RUM_CLOUD_ENABLED", "0")  # librealsense 2.59 may upload usage data without asking
    try:
        libusb = importlib.import_module("libusb_package")
        # The wheel links libusb-1.0.so.0 but does not bundle it.
        ctypes.CDLL(str(libusb.get_library_path()), mode=ctypes.RTLD_GLOBAL)
        module = importlib.import_module("pyrealsense2")
        module.software_device  # noqa: B018  an incomplete package imports, and is empty
        return module
    except (ImportError, OSError, AttributeError) as error:
        raise HardwareError(
            f"pyrealsense2 does not load here: {error}",
            hint="pip install pyrealsense2 libusb-package (wheels: Linux x86_64 and Windows); the twin works without",
        ) from error


def list_serials() -> list[str]:
    """Serial numbers of the connected cameras."""
    rs = import_realsense()
    return [device.get_info(rs.camera_info.serial_number) for device in rs.context().query_devices()]


def find_device(serial: str) -> Any:
    """The connected `rs.device` with this serial number.

    Raises:
        HardwareError: it is not connected; the message lists those that are.
    """
    rs = import_realsense()
    found = {d.get_info(rs.camera_info.serial_number): d for d in rs.context().query_devices()}
    if serial not in found:
        raise HardwareError(f"no RealSense camera {serial}; found: {', '.join(found) or 'none'}", hint=_HINT)
    return found[serial]


@dataclass(frozen=True)
class FrameSource:
    """The clock of the frames' stamps; the default is that of a real camera, the host's wall clock."""

    now: Callable[[], float] = time.time
    """Seconds on the clock that stamps the frames: wall time, or the twin's simulated time."""
    expected: Callable[[], int] | None = None
    """Only in lock-step: make sure that this instant's frame has been pushed, and return its number (-1: none yet).

    `latest` then returns exactly that frame, so that a lock-step run is reproducible.
    """


@dataclass(frozen=True)
class _Frameset:
    """The data copied from one frameset."""

    image: Image
    depth: Depth | None
    number: int
    depth_number: int
    stamp_s: float
    arrival_s: float
    """Both in the source's time, the stamp in the device's where its domain is `hardware_clock`."""
    domain: str


class RealSenseCamera:
    """Colour, and depth where the spec names its unit, always the latest frame; a `Camera`.

    The pipeline pairs colour and depth by time. A pair counts as new only when both streams have a new frame:
    librealsense keeps returning colour with the last depth frame when depth stalls.
    """

    def __init__(
        self,
        device: Any,
        spec: CameraSpec,
        clock: Clock,
        name: str = "camera",
        source: FrameSource = FrameSource(),
        stall_s: float = STALL_S,
    ) -> None:
        self.name = name
        self._spec = spec
        self._clock = clock
        self._source = source
        self._stall_s = stall_s
        self._rs = import_realsense()
        self._latest: _Frameset | None = None
        self._last_returned = -1
        self._offset_s = np.inf  # source time less device time, of the fastest frame so far
        self._prepare(device)
        self._pipeline = self._start(device)

    def latest(self, now_s: float) -> Frame:
        """The latest frame, without waiting except for the first; its age is measured at `now_s`.

        An image taken after the tick started has a negative age. Where the device stamps with its own clock
        (`hardware_clock`), the frame with the shortest delay so far counts as delivered at once, so that ages are
        lower bounds.

        Raises:
            HardwareError: no first frame within 5 s, or none for longer than the stall limit.
        """
        latest = self._read_latest()
        since_tick_s = self._clock.now() - now_s
        source_s = self._source.now()
        offset_s = self._offset_s if latest.domain == "hardware_clock" else 0.0
        age_s = source_s - (latest.stamp_s + offset_s) - since_tick_s
        if age_s > self._stall_s:
            raise HardwareError(self._stalled(age_s), hint=_HINT)
        repeated, self._last_returned = latest.number == self._last_returned, latest.number
        arrival_s = now_s + since_tick_s - (source_s - latest.arrival_s)
        return Frame(
            latest.image,
            latest.number,
            latest.stamp_s,
            latest.domain,
            arrival_s,
            age_s,
            repeated=repeated,
            depth=latest.depth,
        )

    def close(self) -> None:
        self._pipeline.stop()

    def _read_latest(self) -> _Frameset:
        """Read new frames; wait for the first frame, and in lock-step until the expected frame arrives."""
        expected = -1 if self._source.expected is None else self._source.expected()
        self._poll()
        if self._latest is None or self._latest.number < expected:
            self._wait(expected)
        if self._latest is None or self._latest.number < expected:
            last = "no frame at all" if self._latest is None else f"frame {self._latest.number}, not {expected}"
            raise HardwareError(f"camera {self.name} gives {last}", hint=_HINT)
        return self._latest

    def _wait(self, expected: int) -> None:
        deadline = time.monotonic() + (FIRST_FRAME_S if self._source.expected is None else LOCKSTEP_WAIT_S)
        while self._latest is None or self._latest.number < expected:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            try:
                received, frames = self._pipeline.try_wait_for_frames(max(1, round(left_s * 1000)))
            except RuntimeError as error:
                raise self._lost(error) from error
            if received:
                self._copy(frames)

    def _poll(self) -> None:
        while True:
            try:
                frames = self._pipeline.poll_for_frames()
            except RuntimeError as error:
                raise self._lost(error) from error
            if not frames:
                return
            self._copy(frames)

    def _copy(self, frames: Any) -> None:
        """Copy a frameset at once, since holding it starves the pipeline (librealsense doc/frame_lifetime.md)."""
        colour = frames.get_color_frame()
        depth = frames.get_depth_frame() if self._spec.depth_unit_m is not None else None
        last = self._latest
        if not colour or (depth is not None and not depth):
            return
        depth_number = -1 if depth is None else depth.get_frame_number()
        if last is not None and (
            colour.get_frame_number() == last.number or (depth is not None and depth_number == last.depth_number)
        ):
            return
        stamp_s = colour.get_timestamp() / 1000
        arrival_s = self._arrival(colour)
        self._offset_s = min(self._offset_s, arrival_s - stamp_s)
        self._latest = _Frameset(
            image=np.array(colour.get_data(), np.uint8),
            depth=None if depth is None else np.array(depth.get_data(), np.uint16),
            number=colour.get_frame_number(),
            depth_number=depth_number,
            stamp_s=stamp_s,
            arrival_s=arrival_s,
            domain=colour.get_frame_timestamp_domain().name,
        )

    def _arrival(self, frame: Any) -> float:
        """When librealsense received the frame; now where the time is unknown."""
        stamp = self._rs.frame_metadata_value.time_of_arrival
        if frame.supports_frame_metadata(stamp):
            return float(frame.get_frame_metadata(stamp)) / 1000
        return self._source.now()

    def _prepare(self, device: Any) -> None:
        """Keep the frame rate in the dark, and check that the depth unit is that of the spec."""
        option = self._rs.option
        for sensor in device.query_sensors():
            if sensor.supports(option.auto_exposure_priority):
                sensor.set_option(option.auto_exposure_priority, 0)
        if self._spec.depth_unit_m is None:
            return
        unit_m = device.first_depth_sensor().get_depth_scale()
        if not np.isclose(unit_m, self._spec.depth_unit_m, rtol=1e-3):
            raise HardwareError(
                f"camera {self.name} has the depth unit {unit_m:g} m, the bench file {self._spec.depth_unit_m:g} m",
                hint=f"set depth_unit_m = {unit_m:g} in the bench file",
            )

    def _start(self, device: Any) -> Any:
        spec, stream, pixel = self._spec, self._rs.stream, self._rs.format
        config = self._rs.config()
        config.enable_stream(stream.color, spec.width, spec.height, pixel.rgb8, round(spec.rate_hz))
        if spec.depth_unit_m is not None:
            config.enable_stream(stream.depth, spec.width, spec.height, pixel.z16, round(spec.rate_hz))
        pipeline = self._rs.pipeline()
        try:
            pipeline.set_device(device)
            pipeline.start(config)
        except RuntimeError as error:
            raise HardwareError(
                f"camera {self.name} does not start at {spec.width}x{spec.height}, {spec.rate_hz:g} Hz"
                f"{' with depth' if spec.depth_unit_m is not None else ''}: {error}; it offers {self._modes(device)}",
                hint="set height, width and rate_hz in the bench file to an offered mode; on USB 2 there are few",
            ) from error
        return pipeline

    def _modes(self, device: Any) -> str:
        """Colour modes for an error message, e.g. `640x480@30, 424x240@60`."""
        modes = set()
        for sensor in device.query_sensors():
            for profile in sensor.get_stream_profiles():
                if profile.stream_type() == self._rs.stream.color:
                    video = profile.as_video_stream_profile()
                    modes.add((video.width(), video.height(), profile.fps()))
        return ", ".join(f"{width}x{height}@{fps}" for width, height, fps in sorted(modes, reverse=True)) or "no colour"

    def _stalled(self, age_s: float) -> str:
        with_depth = " (or its depth stream)" if self._spec.depth_unit_m is not None else ""
        return f"camera {self.name}{with_depth} has stalled: its last frame is {age_s:.1f} s old"

    def _lost(self, error: RuntimeError) -> HardwareError:
        return HardwareError(f"camera {self.name} is lost: {error}", hint=_HINT)
