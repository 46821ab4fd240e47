"""Selects the camera frames that are sent to the writer: each once, and none while the queue is full."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ebt_data.step import Event, Frame

_NO_IMAGE = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class GatedFrames:
    """The frames of one row, as they are sent to the writer."""

    frames: dict[str, Frame]
    """By camera, for every camera; without pixels if the writer already has the frame or it was dropped."""
    dropped: frozenset[str]
    """Cameras whose new frame was dropped."""
    size: int
    """Bytes of the pixels sent."""
    events: tuple[Event, ...]
    """`gap` events: a camera's first dropped frame, and the first sent again."""


class FrameGate:
    """Tracks the frames of one episode that were sent, by camera."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[int, float]] = {}  # frame number and device stamp
        self._gap: dict[str, int] = {}  # frames dropped in the current gap
        self.dropped: dict[str, int] = {}
        """Number of dropped frames, by camera."""

    def select(self, frames: Mapping[str, Frame], room: int) -> GatedFrames:
        """Send new frames while the queue has `room` bytes; drop the others."""
        selected: dict[str, Frame] = {}
        dropped: set[str] = set()
        events: list[Event] = []
        size = 0
        for camera, frame in frames.items():
            identity = (frame.number, frame.device_s)
            if identity == self._sent.get(camera):
                selected[camera] = replace(frame, image=_NO_IMAGE, depth=None)
                continue
            frame_bytes = frame.image.nbytes + (0 if frame.depth is None else frame.depth.nbytes)
            if size + frame_bytes > room:
                selected[camera] = replace(frame, image=_NO_IMAGE, depth=None)
                dropped.add(camera)
                events += self._begin_or_continue_gap(camera)
                continue
            size += frame_bytes
            selected[camera] = frame
            self._sent[camera] = identity
            events += self._end_gap(camera)
        return GatedFrames(selected, frozenset(dropped), size, tuple(events))

    def _begin_or_continue_gap(self, camera: str) -> list[Event]:
        self.dropped[camera] = self.dropped.get(camera, 0) + 1
        self._gap[camera] = self._gap.get(camera, 0) + 1
        is_first = self._gap[camera] == 1
        return [Event("gap", f"{camera}: frames dropped from here on, the writer cannot keep up")] if is_first else []

    def _end_gap(self, camera: str) -> list[Event]:
        count = self._gap.pop(camera, 0)
        return [Event("gap", f"{camera}: frames recorded again after {count} dropped")] if count else []
