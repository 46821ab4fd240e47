import os
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.twin.render import rendering
from ebt_hardware.twin.render.rendering import BACKENDS, Renderer, choose_renderer, explain

SCENE = """
<mujoco>
  <visual><headlight ambient="0.4 0.4 0.4" diffuse="0.5 0.5 0.5" specular="0 0 0"/></visual>
  <asset><material name="green" rgba="0.1 0.8 0.1 1" specular="0"/></asset>
  <worldbody>
    <light type="directional" dir="0.3 0.2 -1" ambient="0 0 0" diffuse="0.3 0.3 0.3" specular="0 0 0"/>
    <geom type="box" size="1 1 0.1" pos="0 0 -0.1" rgba="0.8 0.8 0.7 1"/>
    <geom type="box" size="0.1 0.1 0.1" pos="0.2 0.1 0.1" rgba="0.9 0.1 0.1 1"/>
    <geom type="sphere" size="0.1" pos="-0.2 0.2 0.1" material="green"/>
    <geom type="capsule" size="0.05 0.1" pos="-0.2 -0.2 0.2" rgba="0.1 0.1 0.9 1"/>
    <geom type="cylinder" size="0.05 0.1" pos="0.2 -0.2 0.1" rgba="0.9 0.9 0.1 1"/>
    <geom type="sphere" size="0.3" pos="0 0 0.6" rgba="1 1 1 0"/>
    <camera name="above" pos="0 0 1.5" fovy="50"/>
    <camera name="aside" pos="1.2 0 0.8" xyaxes="0 1 0 -0.55 0 0.83" fovy="45"/>
  </worldbody>
</mujoco>"""


@pytest.fixture(scope="module")
def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.fixture(scope="module")
def opengl() -> str:
    backend = choose_renderer()
    if backend == "rays":
        pytest.skip("no OpenGL here")
    return backend


@pytest.mark.parametrize("camera", ["above", "aside"])
def test_the_ray_caster_draws_what_opengl_draws(
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


def test_pictures_of_any_size_come_from_one_renderer(scene: tuple[mujoco.MjModel, mujoco.MjData], opengl: str) -> None:
    model, data = scene
    renderer = Renderer(model, opengl)
    small = renderer.image(data, "above", 48, 64)
    large = renderer.image(data, "above", 480, 640)
    again = renderer.image(data, "above", 48, 64)
    renderer.close()
    assert large.shape == (480, 640, 3)
    np.testing.assert_array_equal(small, again)


def test_a_smooth_picture_has_the_same_content(scene: tuple[mujoco.MjModel, mujoco.MjData], opengl: str) -> None:
    model, data = scene
    plain, smooth = Renderer(model, opengl), Renderer(model, opengl, smooth=True)
    difference = plain.image(data, "above", 96, 96).astype(int) - smooth.image(data, "above", 96, 96)
    plain.close()
    smooth.close()
    assert np.abs(difference).mean() < 3
    assert difference.any()


def test_a_backend_that_does_not_draw_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "nonsense")  # neither EGL nor OSMesa loads then
    choose_renderer.cache_clear()
    try:
        assert choose_renderer() == "rays"
    finally:
        choose_renderer.cache_clear()


def test_mujoco_gl_can_ask_for_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "off")
    choose_renderer.cache_clear()
    try:
        assert choose_renderer() == "rays"
    finally:
        choose_renderer.cache_clear()


def test_rendering_does_not_mind_when_mujoco_was_imported(opengl: str) -> None:
    code = f"import mujoco; from ebt_hardware.twin.render.rendering import _probe; _probe({opengl!r})"
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    subprocess.run([sys.executable, "-c", code, SCENE], env=environment, check=True, timeout=120)


def test_an_unknown_backend_is_named_with_the_known_ones(scene: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    with pytest.raises(ConfigError, match="egl, osmesa, rays"):
        Renderer(scene[0], "vulkan")


def test_every_backend_has_its_sentence() -> None:
    assert all(explain(backend).startswith("The twin's cameras are drawn") for backend in BACKENDS)
    assert rendering.BACKENDS[-1] == "rays"


def test_triton_is_loaded_before_the_first_opengl_context(tmp_path: Path) -> None:
    """A stand-in for Triton reports what was loaded before it; the real one crashes where that is Mesa's LLVM."""
    if choose_renderer() == "rays":
        pytest.skip("no OpenGL on this machine")
    (tmp_path / "triton.py").write_text("print('LLVM' in open('/proc/self/maps').read())")
    code = (
        "import sys, mujoco; from ebt_hardware.twin.render.rendering import Renderer\n"
        "model = mujoco.MjModel.from_xml_string(sys.argv[1]); data = mujoco.MjData(model); mujoco.mj_forward(model, data)\n"
        "print(Renderer(model).image(data, 'above', 24, 32).shape); print('LLVM' in open('/proc/self/maps').read())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, SCENE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["False", "(24, 32, 3)"]
