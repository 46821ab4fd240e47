import numpy as np
import pytest

from ebt_data.layout import codec
from ebt_data.layout.codec import decode, encode, is_complete
from tests.data.conftest import smooth_image

SIZE = (48, 64)


@pytest.fixture(params=[None, 95], ids=["qoi", "jpeg"])
def blob(request: pytest.FixtureRequest) -> bytes:
    return encode(smooth_image(3), request.param)


def test_without_loss_every_pixel_comes_back() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    for image in (noise, smooth_image(3), noise[:, ::-1], np.zeros_like(noise)):
        found = decode(encode(image, None), SIZE)
        np.testing.assert_array_equal(found, image)
        assert found.dtype == np.uint8


def test_a_jpeg_is_smaller_and_similar() -> None:
    image = smooth_image(3)
    jpeg = encode(image)
    assert len(jpeg) < len(encode(image, None))
    assert np.abs(decode(jpeg, SIZE).astype(int) - image).mean() < 2


def test_a_picture_of_another_size_is_not_unpacked(blob: bytes) -> None:
    with pytest.raises(ValueError, match="48 x 64 pixels, not 480 x 640"):
        decode(blob, (480, 640))


def test_a_damaged_image_raises_value_error(blob: bytes) -> None:
    for damaged in (b"", blob[:3], blob[:10], b"qoif", b"RIFF" + blob[4:], b"qoif" + bytes(9)):
        with pytest.raises(ValueError):
            decode(damaged, SIZE)


def test_a_flipped_bit_only_changes_pixels_or_is_rejected() -> None:
    whole = encode(smooth_image(3), None)
    rng = np.random.default_rng(1)
    for place, bit in zip(rng.integers(0, len(whole), 500), rng.integers(0, 8, 500), strict=True):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        try:
            assert decode(bytes(flipped), SIZE).shape == (*SIZE, 3)
        except ValueError:
            continue


def test_a_truncated_blob_is_not_complete(blob: bytes) -> None:
    most = codec.MARKER_BYTES
    assert is_complete(blob[:most], blob[-most:])
    assert not is_complete(blob[:most], blob[-most - 1 : -1])
    assert not is_complete(bytes(most), blob[-most:])
