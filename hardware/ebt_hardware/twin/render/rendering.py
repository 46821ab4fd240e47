"""Images of the twin: rendered with OpenGL where it works (EGL, then OSMesa), else by a ray caster.

It does not matter when mujoco was imported: the GL context is made directly, not through `mujoco.Renderer`, which fixes
its backend at import.
"""

import importlib
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_data.errors import ConfigError
from ebt_data.step import Image
from ebt_hardware.twin.render.raycaster import RayCaster

BACKENDS = ("egl", "osmesa", "rays")
SLOWEST = BACKENDS[-1]
PROBE_TIMEOUT_S = 60.0  # a cold llvmpipe on a busy machine takes seconds
_PROBE_XML = """<mujoco><visual><headlight ambient="1 1 1"/></visual><worldbody><geom size=".1" rgba="1 1 1 1"/>
<camera name="probe" pos="0 0 .3"/></worldbody></mujoco>"""


@cache
def choose_renderer() -> str:
    """The first of `egl`, `osmesa` and `rays` that renders; `MUJOCO_GL` narrows the choice (`off` means rays).

    Each is tried in a child process, since a broken driver may abort instead of raising.
    """
    setting = os.environ.get("MUJOCO_GL", "").lower()
    candidates = {"egl": ("egl",), "osmesa": ("osmesa",), "off": (), "disable": ()}.get(setting, BACKENDS[:-1])
    return next((backend for backend in candidates if _renders(backend)), SLOWEST)


def explain(backend: str) -> str:
    """A sentence for the user about the renderer in use, and how to get a faster one."""
    return {
        "egl": "The twin's cameras are rendered with OpenGL (EGL).",
        "osmesa": "The twin's cameras are rendered with OpenGL in software (OSMesa).",
        "rays": "The twin's cameras are rendered by a ray caster, since no OpenGL works here; "
        "`sudo apt install libegl1 libgl1-mesa-dri` makes them two to six times faster.",
    }[backend]


def _renders(backend: str) -> bool:
    """True if a child process gets a white image of a white ball."""
    code = f"from ebt_hardware.twin.render.rendering import _probe; _probe({backend!r})"
    environment = {**os.environ, "MUJOCO_GL": backend}
    try:
        child = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return child.returncode == 0


def _probe(backend: str) -> None:
    """Render a ball or exit with an error; runs in a child process."""
    model = mujoco.MjModel.from_xml_string(_PROBE_XML)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = Renderer(model, backend)
    image = renderer.image(data, "probe", 16, 16)
    renderer.close()
    if image[8, 8].min() < 200:
        sys.exit("the image is black")


class Renderer:
    """Renders images and depth, in one thread at a time.

    Shadows and reflections are off: they cost six times the rest at the sizes that policies use.
    """

    def __init__(self, model: mujoco.MjModel, backend: str | None = None, smooth: bool = False) -> None:
        """`backend` is one of `BACKENDS`, by default that of `choose_renderer`.

        `smooth` enables anti-aliasing, for images that are displayed; it triples the time.
        """
        self.backend = backend or choose_renderer()
        if self.backend not in BACKENDS:
            raise ConfigError(f"no renderer {self.backend!r}; there are {', '.join(BACKENDS)}")
        self._model = model
        self._implementation = RayCaster(model) if self.backend == "rays" else _OpenGL(model, self.backend, smooth)

    def image(self, data: mujoco.MjData, camera: str, height: int, width: int) -> Image:
        """[H, W, 3] RGB of the model's `camera`."""
        return self._implementation.render(data, self._model.camera(camera).id, height, width)[0]

    def image_and_depth(
        self, data: mujoco.MjData, camera: str, height: int, width: int
    ) -> tuple[Image, NDArray[np.float32]]:
        """[H, W, 3] RGB and [H, W] m along the optical axis; 0 where there is no depth, as with RealSense."""
        return self._implementation.render(data, self._model.camera(camera).id, height, width)

    def close(self) -> None:
        """Free the GL context; OSMesa prints errors at exit otherwise."""
        if isinstance(self._implementation, _OpenGL):
            self._implementation.close()


@cache
def _load_triton() -> None:
    """Import Triton, where it is installed, before the first OpenGL context.

    It comes with the CUDA build of PyTorch, which imports it to compile. Its library contains its own LLVM and crashes
    the process when it is loaded after the LLVM of Mesa's software renderer; in the other order both work.
    """
    with suppress(ImportError):
        importlib.import_module("triton")


class _OpenGL:
    """MuJoCo's own renderer in an off-screen context."""

    def __init__(self, model: mujoco.MjModel, backend: str, smooth: bool) -> None:
        _load_triton()
        os.environ["MUJOCO_GL"] = backend  # MuJoCo's C code reads its GL loader from here when it makes a context
        self._context = importlib.import_module(f"mujoco.{backend}").GLContext(64, 64)
        self._context.make_current()
        self._model = model
        self._size = (64, 64)
        quality = model.vis.quality  # read once, when the context is made
        samples, quality.offsamples = quality.offsamples, 4 if smooth else 0
        self._mjr = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        quality.offsamples = samples
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._mjr)
        self._mjr.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 64)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = 0
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def render(self, data: mujoco.MjData, camera: int, height: int, width: int) -> tuple[Image, NDArray[np.float32]]:
        """[H, W, 3] RGB and [H, W] m along the optical axis, 0 where nothing was rendered."""
        self._context.make_current()
        if self._size != (height, width):  # rendering a small image in a large buffer costs as much as a large one
            mujoco.mjr_resizeOffscreen(width, height, self._mjr)
            self._size = (height, width)
        self._camera.fixedcamid = camera
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        view = mujoco.MjrRect(0, 0, width, height)
        image = np.empty((height, width, 3), np.uint8)
        depth = np.empty((height, width), np.float32)
        mujoco.mjr_render(view, self._scene, self._mjr)
        mujoco.mjr_readPixels(image, depth, view, self._mjr)
        return np.ascontiguousarray(image[::-1]), self._metres(depth[::-1])

    def _metres(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undo the reversed-Z projection: the buffer is 1 at the near plane, 0 at the far one."""
        near = self._model.vis.map.znear * self._model.stat.extent
        far = self._model.vis.map.zfar * self._model.stat.extent
        metres = near * far / (near + depth * (far - near))
        return np.ascontiguousarray(np.where(depth > 0, metres, 0.0), np.float32)

    def close(self) -> None:
        """Free both contexts; safe to call twice."""
        self._mjr.free()
        self._context.free()
