import multiprocessing
import threading

import numpy as np

from ebt_data.step import CameraSpec
from ebt_hardware.twin.render.frame_ring import FrameRing, frame_memory
from ebt_hardware.twin.render.software_device import Exposure

COLOUR = CameraSpec(48, 64, 30)
WITH_DEPTH = CameraSpec(48, 64, 30, depth_unit_m=0.001)
CONTEXT = multiprocessing.get_context("spawn")


def two_ends(spec: CameraSpec) -> tuple[FrameRing, FrameRing]:
    memory = frame_memory(CONTEXT, spec)
    return FrameRing(spec, memory), FrameRing(spec, memory)


def test_there_is_nothing_before_the_first_frame() -> None:
    _, reader = two_ends(COLOUR)
    assert reader.written == 0
    assert reader.read() is None


def test_the_newest_frame_is_read_whole() -> None:
    writer, reader = two_ends(WITH_DEPTH)
    for number in range(1, 8):
        image = np.full((48, 64, 3), number, np.uint8)
        writer.write(Exposure(number, number / 30, image, np.full((48, 64), 1000 + number, np.uint16)))
    exposure = reader.read()
    assert exposure is not None
    assert exposure.depth is not None
    assert (exposure.number, exposure.stamp_s, reader.written) == (7, 7 / 30, 7)
    assert (exposure.image == 7).all()
    assert (exposure.depth == 1007).all()


def test_a_frame_that_was_read_does_not_change() -> None:
    writer, reader = two_ends(COLOUR)
    writer.write(Exposure(1, 0.0, np.full((48, 64, 3), 1, np.uint8)))
    exposure = reader.read()
    for number in range(2, 10):
        writer.write(Exposure(number, 0.0, np.full((48, 64, 3), number, np.uint8)))
    assert exposure is not None
    assert (exposure.image == 1).all()


def test_no_frame_is_torn_however_fast_the_writer() -> None:
    writer, reader = two_ends(COLOUR)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 4000):
            writer.write(Exposure(number, 0.0, np.full((48, 64, 3), number % 251, np.uint8)))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    last = 0
    while not done.is_set():
        exposure = reader.read()
        if exposure is None:
            continue
        assert (exposure.image == exposure.number % 251).all()
        assert exposure.number >= last
        last = exposure.number
    thread.join()
