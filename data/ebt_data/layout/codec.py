"""How one picture is stored: as a JPEG, or as it came, in QOI (https://qoiformat.org), as fast and several times as large.

encode(image, quality) -> bytes     quality None: QOI
decode(blob, size) -> Image         is_whole(first, last)

Image: [H, W, 3] uint8 RGB.
"""

import struct
from collections.abc import Callable

import numpy as np
import qoi
import simplejpeg

from ebt_data.step import Image

QUALITY = 95
"""Of a JPEG, 1 to 100."""
LARGEST = 1 << 26
"""Bytes of one picture."""
CHROMA_FULL_BELOW = 320  # pixels; small pictures keep full colour (4:4:4), large ones the usual 4:2:0
JPEG, QOI = "jpeg", "qoi"
_JPEG_ENDS = (b"\xff\xd8", b"\xff\xd9")
_QOI_ENDS = (b"qoif", b"\0" * 7 + b"\1")
_QOI_HEAD = struct.Struct(">4sIIBB")  # magic, width, height, channels, colour space
LONGEST_END = 8
"""Bytes at either end of a blob that show whether it is complete."""


def encode(image: Image, quality: int | None = QUALITY) -> bytes:
    """One picture as bytes; `quality` of a JPEG, or None to lose nothing."""
    pixels = np.ascontiguousarray(image)
    if quality is None:
        return bytes(qoi.encode(pixels))
    chroma = "444" if max(image.shape[:2]) < CHROMA_FULL_BELOW else "420"
    return bytes(simplejpeg.encode_jpeg(pixels, quality, "RGB", chroma))


def decode(blob: bytes, size: tuple[int, int]) -> Image:
    """The picture again; what is not (height, width) large is not unpacked.

    Raises:
        ValueError: it is damaged, or of another size.
    """
    found, unpack = _qoi(blob) if blob.startswith(_QOI_ENDS[0]) else _jpeg(blob)
    if found != size:
        raise ValueError(f"{found[0]} x {found[1]} pixels, not {size[0]} x {size[1]}")
    return unpack()


def _jpeg(blob: bytes) -> tuple[tuple[int, int], Callable[[], Image]]:
    height, width, *_ = simplejpeg.decode_jpeg_header(blob)
    return (height, width), lambda: np.asarray(simplejpeg.decode_jpeg(blob, "RGB"), np.uint8)


def _qoi(blob: bytes) -> tuple[tuple[int, int], Callable[[], Image]]:
    if len(blob) < _QOI_HEAD.size:
        raise ValueError("it is cut off")
    _, width, height, *_ = _QOI_HEAD.unpack_from(blob)

    def unpack() -> Image:
        try:
            return np.asarray(qoi.decode(blob, channels=3), np.uint8)
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    return (height, width), unpack


def is_whole(first: bytes, last: bytes) -> bool:
    """Whether a blob that begins and ends so is a picture from end to end; each is up to `LONGEST_END` bytes."""
    return any(first.startswith(begin) and last.endswith(end) for begin, end in (_JPEG_ENDS, _QOI_ENDS))
