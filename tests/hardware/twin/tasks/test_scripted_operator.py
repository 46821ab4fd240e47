"""The scripted operator's observation, and that it follows movable goals."""

import pytest

from ebt_hardware.config.benches import load_bench
from ebt_hardware.twin.tasks.registry import TASKS
from ebt_hardware.twin.world import TwinWorld


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


def test_the_operator_observes_the_tasks_own_poses_only() -> None:
    table = load_bench("twin_state")
    with table.open() as bench:
        assert {"hand", "cube_from_hand"} <= set(bench.reset(0).privileged)
    world = TwinWorld()
    assert set(world.operator._view().objects) == {"cube", "bin"}
