import multiprocessing
import queue

import mujoco
import numpy as np
import pytest

from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.exposure import State, capture_state
from ebt_hardware.twin.render.frame_ring import FrameRing, frame_memory
from ebt_hardware.twin.render.render_thread import RenderThread

SPEC = CameraSpec(24, 32, 30)
CONTEXT = multiprocessing.get_context("spawn")
DEADLINE_S = 30.0
SCENE = """
<mujoco>
  <worldbody>
    <body><joint type="slide" axis="1 0 0"/><geom type="sphere" size="0.1" rgba="1 0 0 1"/></body>
    <camera name="top" pos="0 0 1"/>
    <camera name="person" pos="0 0 1"/>
  </worldbody>
</mujoco>"""


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(SCENE)


def state_at(model: mujoco.MjModel, x: float) -> State:
    data = mujoco.MjData(model)
    data.qpos[0] = x
    return capture_state(model, data)


def test_an_exposure_is_in_its_ring_when_it_is_announced(model: mujoco.MjModel) -> None:
    ring = FrameRing(SPEC, frame_memory(CONTEXT, SPEC))
    fresh = CONTEXT.Semaphore(0)
    render_thread = RenderThread(model, {"top": (SPEC, ring)}, "rays", fresh)
    render_thread.submit("top", 5, 1.25, state_at(model, 0.2))
    assert fresh.acquire(timeout=DEADLINE_S)
    exposure = ring.read()
    render_thread.close()
    assert exposure is not None
    assert (exposure.number, exposure.stamp_s) == (5, 1.25)
    assert np.nonzero(exposure.image[..., 0])[1].mean() > 17  # right of the middle


def test_third_person_images_come_from_the_same_thread(model: mujoco.MjModel) -> None:
    render_thread = RenderThread(model, {}, "rays", CONTEXT.Semaphore(0))
    delivered: queue.Queue[Image] = queue.Queue()
    render_thread.request_third_person_view(state_at(model, 0.0), 30, 40, delivered.put)
    image = delivered.get(timeout=DEADLINE_S)
    render_thread.close()
    assert image.shape == (30, 40, 3)
    assert image.any()


def test_a_closed_render_thread_is_not_alive(model: mujoco.MjModel) -> None:
    render_thread = RenderThread(model, {}, "rays", CONTEXT.Semaphore(0))
    render_thread.warm_up()
    assert render_thread.alive
    render_thread.close()
    assert not render_thread.alive
