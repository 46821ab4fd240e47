"""Decides which camera frames go to the writer: each once, and none where the queue is nearly full."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ebt_data.step import Event, Frame

_NO_IMAGE = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Passed:
    """The frames of one row that are passed on."""

    frames: dict[str, Frame]
    """Every camera; without pixels where the writer has the picture already or shall do without it."""
    dropped: frozenset[str]
    """Cameras whose new picture was left out."""
    size: int
    """Bytes of pixels."""
    events: tuple[Event, ...]
    """Where a gap starts and where it ends."""


class FrameGate:
    """Remembers what was sent of each camera in one episode."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[int, float]] = {}  # frame number and device stamp
        self._gap: dict[str, int] = {}  # frames dropped in the current gap
        self.dropped: dict[str, int] = {}
        """Frames left out, by camera."""

    def choose(self, frames: Mapping[str, Frame], room: int) -> Passed:
        """Pass new frames while there is room for their bytes."""
        passed: dict[str, Frame] = {}
        dropped: set[str] = set()
        events: list[Event] = []
        size = 0
        for camera, frame in frames.items():
            identity = (frame.number, frame.device_s)
            if identity == self._sent.get(camera):
                passed[camera] = replace(frame, image=_NO_IMAGE, depth=None)
                continue
            weight = frame.image.nbytes + (0 if frame.depth is None else frame.depth.nbytes)
            if size + weight > room:
                passed[camera] = replace(frame, image=_NO_IMAGE, depth=None)
                dropped.add(camera)
                events += self._begin_or_continue_gap(camera)
                continue
            size += weight
            passed[camera] = frame
            self._sent[camera] = identity
            events += self._end_gap(camera)
        return Passed(passed, frozenset(dropped), size, tuple(events))

    def _begin_or_continue_gap(self, camera: str) -> list[Event]:
        self.dropped[camera] = self.dropped.get(camera, 0) + 1
        self._gap[camera] = self._gap.get(camera, 0) + 1
        begins = self._gap[camera] == 1
        return [Event("gap", f"{camera}: frames left out from here, the writer cannot keep up")] if begins else []

    def _end_gap(self, camera: str) -> list[Event]:
        count = self._gap.pop(camera, 0)
        return [Event("gap", f"{camera}: frames again after {count} left out")] if count else []
