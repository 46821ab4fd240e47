import numpy as np
import pytest

from ebt_data.layout import codec
from ebt_data.layout.codec import decode, encode, is_whole
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


def test_a_jpeg_is_smaller_and_near() -> None:
    image = smooth_image(3)
    jpeg = encode(image)
    assert len(jpeg) < len(encode(image, None))
    assert np.abs(decode(jpeg, SIZE).astype(int) - image).mean() < 2


def test_a_picture_of_another_size_is_not_unpacked(blob: bytes) -> None:
    with pytest.raises(ValueError, match="48 x 64 pixels, not 480 x 640"):
        decode(blob, (480, 640))


def test_a_damaged_one_is_refused_in_one_way(blob: bytes) -> None:
    for damaged in (b"", blob[:3], blob[:10], b"qoif", b"RIFF" + blob[4:], b"qoif" + bytes(9)):
        with pytest.raises(ValueError):
            decode(damaged, SIZE)


def test_no_flip_of_a_bit_does_more_than_change_pixels_or_be_refused() -> None:
    whole = encode(smooth_image(3), None)
    rng = np.random.default_rng(1)
    for place, bit in zip(rng.integers(0, len(whole), 500), rng.integers(0, 8, 500), strict=True):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        try:
            assert decode(bytes(flipped), SIZE).shape == (*SIZE, 3)
        except ValueError:
            continue


def test_a_cut_off_blob_is_not_whole(blob: bytes) -> None:
    most = codec.LONGEST_END
    assert is_whole(blob[:most], blob[-most:])
    assert not is_whole(blob[:most], blob[-most - 1 : -1])
    assert not is_whole(bytes(most), blob[-most:])
