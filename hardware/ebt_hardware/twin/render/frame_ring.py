"""The newest frames of one camera in shared memory: one process writes, others read, neither waits."""

import ctypes
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np

from ebt_data.step import CameraSpec
from ebt_hardware.twin.render.software_device import Exposure

_SLOTS = 4  # a reader has three frame periods to copy one out
_TORN = -1


def _slot_type(spec: CameraSpec) -> np.dtype[Any]:
    depth = (0,) if spec.depth_unit_m is None else (spec.height, spec.width)
    return np.dtype(
        [
            ("sequence", np.int64),
            ("number", np.int64),
            ("stamp_s", np.float64),
            ("image", np.uint8, (spec.height, spec.width, 3)),
            ("depth", np.uint16, depth),
        ],
        align=True,
    )


def frame_memory(context: SpawnContext, spec: CameraSpec) -> Any:
    """Anonymous shared memory for a ring, to pass to a child process; freed when the last process ends."""
    return context.RawArray(ctypes.c_byte, 8 + _SLOTS * _slot_type(spec).itemsize)


class FrameRing:
    """Ring of frames with a sequence number per slot: torn while being written, checked before and after copying."""

    def __init__(self, spec: CameraSpec, memory: Any) -> None:
        self._has_depth = spec.depth_unit_m is not None
        self._written = np.frombuffer(memory, np.int64, count=1)
        self._slots = np.frombuffer(memory, _slot_type(spec), count=_SLOTS, offset=8)

    @property
    def written(self) -> int:
        """Frames written so far."""
        return int(self._written[0])

    def write(self, exposure: Exposure) -> None:
        sequence = self.written + 1
        slot = self._slots[sequence % _SLOTS]
        slot["sequence"] = _TORN
        slot["number"], slot["stamp_s"], slot["image"][...] = exposure.number, exposure.stamp_s, exposure.image
        if exposure.depth is not None:
            slot["depth"][...] = exposure.depth
        slot["sequence"] = sequence
        self._written[0] = sequence

    def read(self) -> Exposure | None:
        """A copy of the newest complete frame; None before the first."""
        while sequence := self.written:
            slot = self._slots[sequence % _SLOTS]
            if slot["sequence"] != sequence:
                continue
            exposure = Exposure(
                int(slot["number"]),
                float(slot["stamp_s"]),
                slot["image"].copy(),
                slot["depth"].copy() if self._has_depth else None,
            )
            if slot["sequence"] == sequence:
                return exposure
        return None
