"""Images rendered by the ray caster."""

import mujoco
import numpy as np
import pytest

from ebt_hardware.twin.render.rendering import Renderer


@pytest.mark.parametrize("camera", ["above", "aside"])
def test_the_ray_caster_renders_what_opengl_renders(
    scene: tuple[mujoco.MjModel, mujoco.MjData], opengl: str, camera: str
) -> None:
    model, data = scene
    gl, rays = Renderer(model, opengl), Renderer(model, "rays")
    image, depth = gl.image_and_depth(data, camera, 90, 120)
    cast, cast_depth = rays.image_and_depth(data, camera, 90, 120)
    gl.close()
    assert image.shape == cast.shape == (90, 120, 3)
    assert image.mean(axis=(0, 1)) == pytest.approx(cast.mean(axis=(0, 1)), abs=2)
    assert np.abs(image.astype(int) - cast).mean() < 2  # of 255; edges differ
    assert np.median(np.abs(depth - cast_depth)) < 1e-3


def test_depth_is_measured_along_the_optical_axis(scene: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    model, data = scene
    _, depth = Renderer(model, "rays").image_and_depth(data, "above", 60, 80)
    assert depth[2, 2] == pytest.approx(1.5, abs=1e-6)  # the plate, also far from the axis
    assert depth[30, 40] == pytest.approx(1.5, abs=1e-6)


def test_nothing_ahead_is_black_and_has_no_depth(scene: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    model, data = scene
    image, depth = Renderer(model, "rays").image_and_depth(data, "aside", 60, 80)
    assert not image[0].any()
    assert not depth[0].any()
