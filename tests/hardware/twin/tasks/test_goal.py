"""Movable goals: how they slide, the success test afterwards, and that a goal at rest acts as a fixed body."""

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_data.step import CameraSpec, Image
from ebt_hardware.twin.render.exposure import FrameRenderer, capture_state
from ebt_hardware.twin.render.rendering import Renderer
from ebt_hardware.twin.scene import bench_xml
from ebt_hardware.twin.tasks.goal import REACH_M, SLIDE_M, SPEED_M_S
from ebt_hardware.twin.tasks.peg_insert import FIELD_Y_M, PEG_HALF_M, SOCKET_HALF_M
from ebt_hardware.twin.tasks.pick_place import BIN_HALF_M, CUBE_HALF_M
from ebt_hardware.twin.tasks.pick_place import FIELD_Y_M as CUBE_Y_M
from ebt_hardware.twin.tasks.registry import TASKS
from ebt_hardware.twin.world import SLICE_S, TwinWorld
from tests.hardware.twin.tasks.conftest import places


@pytest.mark.parametrize("task", TASKS)
def test_goals_slide_some_centimetres_at_a_hands_speed_and_are_home_after_a_reset(task: str) -> None:
    world = TwinWorld(task)
    home = places(world, task)
    sides = set()
    for seed in range(12):
        world.reset(seed)
        assert (places(world, task) == home).all()
        world.disturb("move_goal")
        path = [home]
        for _ in range(80):
            world.advance(SLICE_S)
            path.append(places(world, task))
        assert np.linalg.norm(np.diff(path, axis=0), axis=2).max() < 1.01 * SPEED_M_S * SLICE_S
        assert (path[-1] == path[-10]).all(), "it has arrived"
        for shift in path[-1] - home:
            assert SLIDE_M[0] - 0.001 < np.linalg.norm(shift) < SLIDE_M[1] + 0.001
            sides.add(tuple(np.sign(np.round(shift, 2))))
    assert len(sides) >= 3
    world.disturb("move_goal")
    world.advance(0.1)
    world.reset(0)
    world.advance(0.1)
    assert (places(world, task) == home).all(), "a reset ends a current slide"


@pytest.mark.parametrize(("task", "clear_of"), [("pick_place", CUBE_Y_M), ("peg_insert", FIELD_Y_M)])
def test_goals_stay_in_reach_and_off_the_field_however_often_they_are_moved(
    task: str, clear_of: tuple[float, float]
) -> None:
    world = TwinWorld(task)
    half = BIN_HALF_M + 0.003 + CUBE_HALF_M if task == "pick_place" else SOCKET_HALF_M + PEG_HALF_M
    for _ in range(40):
        world.disturb("move_goal")
        world.advance(0.6)
        for place in places(world, task):
            assert np.linalg.norm(place) < REACH_M + 1e-6
            assert place[1] > clear_of[1] + half or place[1] < clear_of[0] - half


@pytest.mark.parametrize("task", TASKS)
def test_a_goal_at_rest_acts_as_a_fixed_body(task: str) -> None:
    text = bench_xml(TwinWorld(task).task.xml())
    ends = []
    for xml in (text, text.replace('mocap="true"', "")):
        model = mujoco.MjModel.from_xml_string(xml)
        data = mujoco.MjData(model)
        name = "bin" if task == "pick_place" else "socket_0"
        above = model.body(name).pos + np.array([0.013, 0.004, 0.06])
        data.joint("cube" if task == "pick_place" else "peg").qpos[:3] = above
        mujoco.mj_step(model, data, nstep=400)
        ends.append(np.concatenate([data.qpos, data.qvel, [data.ncon]]))
    assert (ends[0] == ends[1]).all()


def blue_centre(image: Image) -> NDArray[np.float64]:
    """[2] row and column, px, of the centre of the blue pixels."""
    red, _, blue = (image[..., channel].astype(int) for channel in range(3))
    centre: NDArray[np.float64] = np.argwhere(blue > red + 60).mean(axis=0)
    return centre


def test_images_show_the_goal_where_it_was_at_the_exposure() -> None:
    world = TwinWorld("pick_place")
    camera, renderer = CameraSpec(96, 96, 20.0), Renderer(world.model, "rays")
    frame_renderer = FrameRenderer(world.model, renderer)
    states, positions = [capture_state(world.model, world.data)], [places(world, "pick_place")[0]]
    world.disturb("move_goal")
    world.advance(0.6)
    states.append(capture_state(world.model, world.data))
    positions.append(places(world, "pick_place")[0])
    before, after = (blue_centre(frame_renderer.render(state, "top", camera, 1, 0.0).image) for state in states)
    per_m = 96 / (2 * 0.66 * np.tan(np.radians(18)))
    x, y = positions[1] - positions[0]
    np.testing.assert_allclose(
        after - before, (-x * per_m, -y * per_m), atol=1.5
    )  # image rows point along -x, columns along -y
