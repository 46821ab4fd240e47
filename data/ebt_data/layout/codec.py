"""Encodes one image as JPEG, or lossless as QOI (https://qoiformat.org), which is as fast and several times as large.

encode(image, quality) -> bytes     quality None: QOI
decode(blob, size) -> Image         is_complete(first, last)

Image: [H, W, 3] uint8 RGB.
"""

import struct
from collections.abc import Callable

import numpy as np
import qoi
import simplejpeg

from ebt_data.step import Image

QUALITY = 95
"""JPEG quality, 1 to 100."""
MAX_BYTES = 1 << 26
"""Upper limit of one encoded image."""
CHROMA_FULL_BELOW = 320  # pixels; small images keep full chroma resolution (4:4:4), large ones use 4:2:0
JPEG, QOI = "jpeg", "qoi"
_JPEG_ENDS = (b"\xff\xd8", b"\xff\xd9")
_QOI_ENDS = (b"qoif", b"\0" * 7 + b"\1")
_QOI_HEAD = struct.Struct(">4sIIBB")  # magic, width, height, channels, colour space
MARKER_BYTES = 8
"""Bytes at either end of a blob that `is_complete` needs."""


def encode(image: Image, quality: int | None = QUALITY) -> bytes:
    """Encode one image: as JPEG of this `quality`, or lossless as QOI if None."""
    pixels = np.ascontiguousarray(image)
    if quality is None:
        return bytes(qoi.encode(pixels))
    chroma = "444" if max(image.shape[:2]) < CHROMA_FULL_BELOW else "420"
    return bytes(simplejpeg.encode_jpeg(pixels, quality, "RGB", chroma))


def decode(blob: bytes, size: tuple[int, int]) -> Image:
    """Decode one image; its header must state this `size` (height, width) before pixels are decoded.

    Raises:
        ValueError: it is damaged, or of another size.
    """
    actual, decode_pixels = _qoi(blob) if blob.startswith(_QOI_ENDS[0]) else _jpeg(blob)
    if actual != size:
        raise ValueError(f"{actual[0]} x {actual[1]} pixels, not {size[0]} x {size[1]}")
    return decode_pixels()


def _jpeg(blob: bytes) -> tuple[tuple[int, int], Callable[[], Image]]:
    height, width, *_ = simplejpeg.decode_jpeg_header(blob)
    return (height, width), lambda: np.asarray(simplejpeg.decode_jpeg(blob, "RGB"), np.uint8)


def _qoi(blob: bytes) -> tuple[tuple[int, int], Callable[[], Image]]:
    if len(blob) < _QOI_HEAD.size:
        raise ValueError("it is truncated")
    _, width, height, *_ = _QOI_HEAD.unpack_from(blob)

    def decode_pixels() -> Image:
        try:
            return np.asarray(qoi.decode(blob, channels=3), np.uint8)
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    return (height, width), decode_pixels


def is_complete(first: bytes, last: bytes) -> bool:
    """Whether `first` and `last`, up to `MARKER_BYTES` each, are the start and end markers of the same format."""
    return any(first.startswith(begin) and last.endswith(end) for begin, end in (_JPEG_ENDS, _QOI_ENDS))
