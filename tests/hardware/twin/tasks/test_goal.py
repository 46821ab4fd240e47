"""Goals that move: how they slide, what counts afterwards, and that nothing changes while they stand."""

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_data.step import CameraSpec, Image
from ebt_hardware.config.benches import load_bench
from ebt_hardware.twin.render.exposure import FrameRenderer, remember
from ebt_hardware.twin.render.rendering import Renderer
from ebt_hardware.twin.scene import bench_xml
from ebt_hardware.twin.tasks.goal import REACH_M, SLIDE_M, SPEED_M_S
from ebt_hardware.twin.tasks.peg_insert import FIELD_Y_M, PEG_HALF_M, SOCKET_HALF_M
from ebt_hardware.twin.tasks.pick_place import BIN_HALF_M, CUBE_HALF_M
from ebt_hardware.twin.tasks.pick_place import FIELD_Y_M as CUBE_Y_M
from ebt_hardware.twin.tasks.registry import TASKS
from ebt_hardware.twin.world import SLICE_S, TwinWorld

GOALS = {"pick_place": ("bin",), "peg_insert": ("socket_0", "socket_1")}


def places(world: TwinWorld, task: str) -> NDArray[np.float32]:
    """[goals, 2] m."""
    poses = world.privileged()
    return np.array([poses[name][:2] for name in GOALS[task]])


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
    assert (places(world, task) == home).all(), "a reset ends a slide under way"


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
def test_a_goal_that_stands_is_to_physics_what_a_fixed_body_is(task: str) -> None:
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


def test_the_cube_counts_where_the_bin_is_now() -> None:
    world = TwinWorld("pick_place")
    old = places(world, "pick_place")[0]
    world.disturb("move_goal")
    world.advance(0.6)
    new = places(world, "pick_place")[0]
    beyond = old + (old - new) * (BIN_HALF_M - 0.01) / np.linalg.norm(old - new)
    for place, done in ((new, True), (beyond, False)):
        world.data.joint("cube").qpos[:] = (*place, 0.03, 1, 0, 0, 0)
        world.data.joint("cube").qvel[:] = 0.0
        world.advance(0.5)
        assert world.succeeded() is done


def test_the_bin_takes_the_cube_along() -> None:
    world = TwinWorld("pick_place")
    for seed in range(4):
        world.reset(seed)
        world.data.joint("cube").qpos[:] = (*places(world, "pick_place")[0], 0.03, 1, 0, 0, 0)
        world.disturb("move_goal")
        world.advance(1.0)
        assert world.succeeded()


@pytest.mark.parametrize("task", TASKS)
def test_the_operator_follows_a_goal_that_moves_while_the_object_is_in_the_air(task: str) -> None:
    table = load_bench("twin_state").with_task(task)
    for seed in range(900_000, 900_003):
        with table.open() as bench:
            assert bench.scene is not None
            operator, moved = table.open_leader(bench), False
            observation = bench.reset(seed)
            operator.reset(observation)
            while observation.time_s < table.longest_s and not bench.scene.succeeded():
                if bench.scene.lifted() and not moved:
                    bench.scene.disturb("move_goal")
                    moved = True
                bench.act(operator.decide(observation).action)
                bench.wait()
                observation = bench.observe()
            assert moved and bench.scene.succeeded()


def middle(image: Image) -> NDArray[np.float64]:
    """[2] row and column, px, of what is blue."""
    red, _, blue = (image[..., channel].astype(int) for channel in range(3))
    found: NDArray[np.float64] = np.argwhere(blue > red + 60).mean(axis=0)
    return found


def test_pictures_show_the_goal_where_it_was_at_the_exposure() -> None:
    world = TwinWorld("pick_place")
    camera, renderer = CameraSpec(96, 96, 20.0), Renderer(world.model, "rays")
    frame_renderer = FrameRenderer(world.model, renderer)
    states, seen = [remember(world.model, world.data)], [places(world, "pick_place")[0]]
    world.disturb("move_goal")
    world.advance(0.6)
    states.append(remember(world.model, world.data))
    seen.append(places(world, "pick_place")[0])
    before, after = (middle(frame_renderer.shoot(state, "top", camera, 1, 0.0).image) for state in states)
    per_m = 96 / (2 * 0.66 * np.tan(np.radians(18)))
    x, y = seen[1] - seen[0]
    np.testing.assert_allclose(
        after - before, (-x * per_m, -y * per_m), atol=1.5
    )  # its top row is far ahead, left is y
