"""Render without OpenGL: one ray per pixel through `mj_multiRay`, shaded by headlight and directional lights."""

from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_data.step import Image

_DEFAULT_RGBA = (0.5, 0.5, 0.5, 1.0)  # MuJoCo uses the material's colour where a geom has this default
_GROUPS = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # what MuJoCo's own renderer shows by default


@lru_cache(maxsize=16)
def _rays(height: int, width: int, fovy_deg: float) -> NDArray[np.float64]:
    """[H * W, 3] unit directions in the camera frame: -z forward, y up."""
    half = np.tan(np.radians(fovy_deg) / 2)
    x = (np.arange(width) + 0.5 - width / 2) / (height / 2) * half
    y = -(np.arange(height) + 0.5 - height / 2) / (height / 2) * half
    rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], -1.0), axis=-1).reshape(-1, 3)
    unit: NDArray[np.float64] = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit


class RayCaster:
    """Renders primitives and meshes in plain colours; no textures, shadows, reflections, specular or spot lights."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model

    def render(self, data: mujoco.MjData, camera: int, height: int, width: int) -> tuple[Image, NDArray[np.float32]]:
        """[H, W, 3] RGB and [H, W] m along the optical axis, 0 where nothing was hit."""
        count = height * width
        rays = _rays(height, width, float(self._model.cam_fovy[camera]))
        frame = data.cam_xmat[camera].reshape(3, 3)
        world = np.einsum("rc,wc->rw", rays, frame)  # not @: BLAS threads would busy-wait for a matrix this thin
        geom = np.empty(count, np.int32)
        distance = np.empty(count)
        normal = np.empty(3 * count)
        origin = data.cam_xpos[camera]
        mujoco.mj_multiRay(
            self._model,
            data,
            origin,
            world.reshape(-1),
            _GROUPS,
            True,
            -1,
            geom,
            distance,
            normal,
            count,
            mujoco.mjMAXVAL,
        )
        hit = geom >= 0
        light = self._light(data, normal.reshape(-1, 3).astype(np.float32), -frame[:, 2])
        light *= self._colours()[geom]
        light[~hit] = 0.0
        image = (np.minimum(light, 1.0, out=light) * 255 + 0.5).astype(np.uint8)
        depth = np.where(hit, distance * -rays[:, 2], 0.0).astype(np.float32)
        return image.reshape(height, width, 3), depth.reshape(height, width)

    def _colours(self) -> NDArray[np.float32]:
        """[geoms, 3]; read at each render, since a task may recolour its objects."""
        model = self._model
        colours: NDArray[np.float32] = model.geom_rgba[:, :3].copy()
        has_material = (model.geom_matid >= 0) & (model.geom_rgba == _DEFAULT_RGBA).all(axis=1)
        colours[has_material] = model.mat_rgba[model.geom_matid[has_material], :3]
        return colours

    def _light(
        self, data: mujoco.MjData, normal: NDArray[np.float32], forward: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """[rays, 3] ambient and Lambert light from the headlight and every directional light."""
        model, head = self._model, self._model.vis.headlight
        directional = model.light_active.astype(bool) & (model.light_type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        lights = [
            (data.light_xdir[i], model.light_ambient[i], model.light_diffuse[i]) for i in directional.nonzero()[0]
        ]
        if head.active:
            lights.append((forward, head.ambient, head.diffuse))
        light = np.zeros_like(normal)
        for direction, ambient, diffuse in lights:
            facing = np.maximum(np.einsum("rc,c->r", normal, -direction.astype(np.float32)), 0.0)
            light += np.outer(facing, diffuse.astype(np.float32))
            light += ambient.astype(np.float32)
        return light
