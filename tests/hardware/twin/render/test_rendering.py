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
from tests.hardware.twin.render.conftest import SCENE


def test_images_of_any_size_come_from_one_renderer(scene: tuple[mujoco.MjModel, mujoco.MjData], opengl: str) -> None:
    model, data = scene
    renderer = Renderer(model, opengl)
    small = renderer.image(data, "above", 48, 64)
    large = renderer.image(data, "above", 480, 640)
    again = renderer.image(data, "above", 48, 64)
    renderer.close()
    assert large.shape == (480, 640, 3)
    np.testing.assert_array_equal(small, again)


def test_a_smooth_image_has_the_same_content(scene: tuple[mujoco.MjModel, mujoco.MjData], opengl: str) -> None:
    model, data = scene
    plain, smooth = Renderer(model, opengl), Renderer(model, opengl, smooth=True)
    difference = plain.image(data, "above", 96, 96).astype(int) - smooth.image(data, "above", 96, 96)
    plain.close()
    smooth.close()
    assert np.abs(difference).mean() < 3
    assert difference.any()


def test_a_backend_that_does_not_render_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "nonsense")  # neither EGL nor OSMesa loads then
    choose_renderer.cache_clear()
    try:
        assert choose_renderer() == "rays"
    finally:
        choose_renderer.cache_clear()


def test_mujoco_gl_can_select_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "off")
    choose_renderer.cache_clear()
    try:
        assert choose_renderer() == "rays"
    finally:
        choose_renderer.cache_clear()


def test_rendering_does_not_depend_on_when_mujoco_was_imported(opengl: str) -> None:
    code = f"import mujoco; from ebt_hardware.twin.render.rendering import _probe; _probe({opengl!r})"
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    subprocess.run([sys.executable, "-c", code, SCENE], env=environment, check=True, timeout=120)


def test_an_unknown_backend_is_named_with_the_known_ones(scene: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    with pytest.raises(ConfigError, match="egl, osmesa, rays"):
        Renderer(scene[0], "vulkan")


def test_every_backend_has_its_sentence() -> None:
    assert all(explain(backend).startswith("The twin's cameras are rendered") for backend in BACKENDS)
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
