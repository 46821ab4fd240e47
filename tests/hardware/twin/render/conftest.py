"""A scene of primitives to render, and OpenGL where it works."""

import mujoco
import pytest

from ebt_hardware.twin.render.rendering import choose_renderer

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
