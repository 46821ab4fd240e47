import multiprocessing
import queue

import mujoco
import numpy as np
import pytest

from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.exposure import State, remember
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
    return remember(model, data)


def test_an_exposure_is_in_its_ring_when_it_is_announced(model: mujoco.MjModel) -> None:
    ring = FrameRing(SPEC, frame_memory(CONTEXT, SPEC))
    fresh = CONTEXT.Semaphore(0)
    room = RenderThread(model, {"top": (SPEC, ring)}, "rays", fresh)
    room.develop("top", 5, 1.25, state_at(model, 0.2))
    assert fresh.acquire(timeout=DEADLINE_S)
    shot = ring.read()
    room.close()
    assert shot is not None
    assert (shot.number, shot.stamp_s) == (5, 1.25)
    assert np.nonzero(shot.image[..., 0])[1].mean() > 17  # right of the middle


def test_people_get_their_pictures_from_the_same_room(model: mujoco.MjModel) -> None:
    room = RenderThread(model, {}, "rays", CONTEXT.Semaphore(0))
    delivered: queue.Queue[Image] = queue.Queue()
    room.third_person(state_at(model, 0.0), 30, 40, delivered.put)
    picture = delivered.get(timeout=DEADLINE_S)
    room.close()
    assert picture.shape == (30, 40, 3)
    assert picture.any()


def test_a_closed_room_does_not_work(model: mujoco.MjModel) -> None:
    room = RenderThread(model, {}, "rays", CONTEXT.Semaphore(0))
    room.warm_up()
    assert room.working
    room.close()
    assert not room.working
