"""One camera's images in an episode file: each is encoded once, however many rows refer to it."""

from typing import Any

import h5py
import numpy as np

from ebt_data.errors import DataError
from ebt_data.layout import codec
from ebt_data.layout.column import Growing
from ebt_data.layout.format import frame_columns
from ebt_data.step import CameraSpec, Frame


class FrameLog:
    """Stores new frames of one camera and returns the row's entries for the frame it refers to."""

    def __init__(self, file: h5py.File, camera: str, spec: CameraSpec, quality: int | None) -> None:
        self._camera, self._spec, self._quality = camera, spec, quality
        self._growing = {
            column.path.rsplit("/", 1)[-1]: Growing(file[column.path]) for column in frame_columns(camera, spec)
        }
        self._kept: Frame | None = None
        self._kept_tick_s = np.nan  # when the last stored frame was first referred to
        self._offset, self._length, self._depth_index = 0, 0, -1
        self.fresh: list[bytes | memoryview] = []
        """What was stored for the last row: nothing, a picture, or a picture and its depth."""
        if len(file[f"/images/{camera}/length"]):  # continuing an episode
            self._offset, self._length = (int(file[f"/images/{camera}/{name}"][-1]) for name in ("offset", "length"))
            if "frames" in self._growing:
                self._depth_index = int(file[f"/depth/{camera}/index"][-1])

    def row(self, frame: Frame, tick_s: float, dropped: bool) -> dict[str, Any]:
        """Values by dataset path. A frame without pixels repeats the one before, as does one that was dropped.

        Raises:
            DataError: the frame is not of the size that the bench promised.
        """
        same = self._kept is not None and (frame.number, frame.device_s) == (self._kept.number, self._kept.device_s)
        new = frame.image.size > 0 and not dropped and not same
        self.fresh = []
        if new:
            self._store(frame, tick_s)
        return self._values(frame, tick_s, repeated=not new and self._length > 0, dropped=dropped)

    def _store(self, frame: Frame, tick_s: float) -> None:
        expected = (self._spec.height, self._spec.width, 3)
        if frame.image.shape != expected or frame.image.dtype != np.uint8:
            found = f"{frame.image.shape} {frame.image.dtype}"
            raise DataError(f"camera {self._camera} gave {found}, expected {expected} uint8 from the bench file")
        if frame.depth is not None and frame.depth.shape != expected[:2]:
            raise DataError(
                f"camera {self._camera} gave depth {frame.depth.shape}, expected {expected[:2]} from the bench file"
            )
        blob = codec.encode(frame.image, self._quality)
        pixels = self._growing["bytes"]
        self._offset, self._length = pixels.length, len(blob)
        pixels.extend(np.frombuffer(blob, np.uint8))
        self._depth_index = -1
        self.fresh.append(blob)
        if "frames" in self._growing and frame.depth is not None:
            self._depth_index = self._growing["frames"].length
            self.fresh.append(self._growing["frames"].append(frame.depth).data)
        self._kept, self._kept_tick_s = frame, tick_s

    def _values(self, frame: Frame, tick_s: float, *, repeated: bool, dropped: bool) -> dict[str, Any]:
        # The row describes the picture that it holds: after a drop that is an older one than the camera's latest.
        shown: Frame | None = frame
        age_s = frame.age_s
        if dropped:
            shown = self._kept
            age_s = np.nan if shown is None else shown.age_s + tick_s - self._kept_tick_s
        values: dict[str, Any] = {
            f"/images/{self._camera}/offset": self._offset,
            f"/images/{self._camera}/length": self._length,
            f"/time/{self._camera}/device": np.nan if shown is None else shown.device_s,
            f"/time/{self._camera}/arrival": np.nan if shown is None else shown.arrival_s,
            f"/time/{self._camera}/number": -1 if shown is None else shown.number,
            f"/time/{self._camera}/domain": (b"" if shown is None else shown.domain.encode()[:16]),
            f"/time/{self._camera}/age": age_s,
            f"/time/{self._camera}/repeated": repeated,
            f"/time/{self._camera}/dropped": dropped,
        }
        if "frames" in self._growing:
            values[f"/depth/{self._camera}/index"] = self._depth_index
        return values
