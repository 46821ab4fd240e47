"""Stores one camera's frames in an episode file: each is encoded once, even if several rows refer to it."""

from typing import Any

import h5py
import numpy as np

from ebt_data.errors import DataError
from ebt_data.layout import codec
from ebt_data.layout.column import AppendableDataset
from ebt_data.layout.format import frame_columns
from ebt_data.step import CameraSpec, Frame


class FrameLog:
    """Stores new frames of one camera and returns the row's entries for the frame it refers to."""

    def __init__(self, file: h5py.File, camera: str, spec: CameraSpec, quality: int | None) -> None:
        self._camera, self._spec, self._quality = camera, spec, quality
        self._datasets = {
            column.path.rsplit("/", 1)[-1]: AppendableDataset(file[column.path])
            for column in frame_columns(camera, spec)
        }
        self._last: Frame | None = None
        self._last_tick_s = np.nan  # when the last stored frame was first referred to
        self._offset, self._length, self._depth_index = 0, 0, -1
        self.new_blobs: list[bytes | memoryview] = []
        """What was stored for the last row: nothing, an encoded image, or an encoded image and its depth."""
        if len(file[f"/images/{camera}/length"]):  # continuing an existing episode
            self._offset, self._length = (int(file[f"/images/{camera}/{name}"][-1]) for name in ("offset", "length"))
            if "frames" in self._datasets:
                self._depth_index = int(file[f"/depth/{camera}/index"][-1])

    def row(self, frame: Frame, tick_s: float, dropped: bool) -> dict[str, Any]:
        """Store the frame if it is new; returns the row's values by dataset path.

        If the frame has no pixels or was dropped, the row refers to the previous frame.

        Raises:
            DataError: the frame's size differs from the bench's.
        """
        same = self._last is not None and (frame.number, frame.device_s) == (self._last.number, self._last.device_s)
        new = frame.image.size > 0 and not dropped and not same
        self.new_blobs = []
        if new:
            self._store(frame, tick_s)
        return self._values(frame, tick_s, repeated=not new and self._length > 0, dropped=dropped)

    def _store(self, frame: Frame, tick_s: float) -> None:
        expected = (self._spec.height, self._spec.width, 3)
        if frame.image.shape != expected or frame.image.dtype != np.uint8:
            actual = f"{frame.image.shape} {frame.image.dtype}"
            raise DataError(f"camera {self._camera} returned {actual}, expected {expected} uint8 from the bench file")
        if frame.depth is not None and frame.depth.shape != expected[:2]:
            raise DataError(
                f"camera {self._camera} returned depth {frame.depth.shape}, expected {expected[:2]} from the bench file"
            )
        blob = codec.encode(frame.image, self._quality)
        pixels = self._datasets["bytes"]
        self._offset, self._length = pixels.length, len(blob)
        pixels.extend(np.frombuffer(blob, np.uint8))
        self._depth_index = -1
        self.new_blobs.append(blob)
        if "frames" in self._datasets and frame.depth is not None:
            self._depth_index = self._datasets["frames"].length
            self.new_blobs.append(self._datasets["frames"].append(frame.depth).data)
        self._last, self._last_tick_s = frame, tick_s

    def _values(self, frame: Frame, tick_s: float, *, repeated: bool, dropped: bool) -> dict[str, Any]:
        # The row describes the frame that it refers to: after a drop, an older one than the camera's latest.
        stored: Frame | None = frame
        age_s = frame.age_s
        if dropped:
            stored = self._last
            age_s = np.nan if stored is None else stored.age_s + tick_s - self._last_tick_s
        values: dict[str, Any] = {
            f"/images/{self._camera}/offset": self._offset,
            f"/images/{self._camera}/length": self._length,
            f"/time/{self._camera}/device": np.nan if stored is None else stored.device_s,
            f"/time/{self._camera}/arrival": np.nan if stored is None else stored.arrival_s,
            f"/time/{self._camera}/number": -1 if stored is None else stored.number,
            f"/time/{self._camera}/domain": (b"" if stored is None else stored.domain.encode()[:16]),
            f"/time/{self._camera}/age": age_s,
            f"/time/{self._camera}/repeated": repeated,
            f"/time/{self._camera}/dropped": dropped,
        }
        if "frames" in self._datasets:
            values[f"/depth/{self._camera}/index"] = self._depth_index
        return values
