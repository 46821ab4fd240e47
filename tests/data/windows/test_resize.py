import numpy as np

from ebt_data.windows.resize import resize_area


def test_a_new_pixel_is_the_mean_of_its_area() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    expected = image.reshape(12, 4, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize_area(image, (12, 32)) - expected).max() <= 0.5


def test_sides_that_do_not_divide_keep_the_mean_and_flat_colour() -> None:
    image = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)
    assert abs(resize_area(image, (33, 41)).mean() - image.mean()) < 0.5
    flat = np.full((50, 70, 3), 117, np.uint8)
    assert (resize_area(flat, (33, 41)) == 117).all()
    assert (resize_area(flat, (96, 96)) == 117).all()


def test_the_same_size_is_the_same_picture() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert resize_area(image, (4, 5)) is image
