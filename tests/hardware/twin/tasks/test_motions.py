"""Motion primitives, on synthetic views."""

from collections.abc import Callable

import numpy as np
import pytest

from ebt_hardware.twin.tasks.motions import Phase, close_gripper, is_near, move_to, position_and_yaw, wander
from ebt_hardware.twin.tasks.task import HandTarget, View

TARGET = HandTarget((0.2, 0.0, 0.1), 0.0, 0.25)


def view(x: float, gripper: float = 1.4) -> View:
    return View(np.array([x, 0.0, 0.1]), gripper, {})


def targets(phase: Phase, view_at: Callable[[int], View]) -> list[HandTarget]:
    """All targets that the phase yields; `view_at(tick)` is the view after that many targets."""
    requested = [next(phase, None)]
    while requested[-1] is not None:
        try:
            requested.append(phase.send(view_at(len(requested))))
        except StopIteration:
            break
    return [target for target in requested if target is not None]


def test_move_to_ends_at_the_target_or_after_its_ticks() -> None:
    assert targets(move_to(view(0.1), TARGET, 0.01, 50), lambda tick: view(0.1 + tick * 0.02)) == [TARGET] * 5
    assert targets(move_to(view(0.1), TARGET, 0.01, 50), lambda _: view(0.1)) == [TARGET] * 50
    assert targets(move_to(view(0.2), TARGET, 0.01, 50), lambda _: view(0.2)) == []


def test_is_near_is_within_the_tolerance() -> None:
    assert is_near(view(0.195), TARGET, 0.006)
    assert not is_near(view(0.195), TARGET, 0.004)


def test_close_gripper_ends_once_the_fingers_have_stopped() -> None:
    closing = [1.4, 1.2, 1.0, 0.8, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    assert len(targets(close_gripper(view(0.2), TARGET), lambda tick: view(0.2, closing[tick]))) == 7
    assert len(targets(close_gripper(view(0.2), TARGET), lambda _: view(0.2, 1.4))) == 30, "it never starts to close"


def test_detours_stay_over_the_field_with_the_gripper_open() -> None:
    lengths = set()
    for seed in range(20):
        requested = targets(
            wander(view(0.2), np.random.default_rng(seed), (0.1, 0.3), (-0.1, 0.1), 0.5), lambda _: view(0.2)
        )
        lengths.add(len(requested))
        assert all(0.1 <= one.position[0] <= 0.3 and -0.1 <= one.position[1] <= 0.1 for one in requested)
        assert all(one.position[2] >= 0.05 and one.gripper == 1.4 for one in requested)
    assert 0 in lengths
    assert max(lengths) > 9, "some make two detours"


@pytest.mark.parametrize("yaw", [-0.7, 0.0, 0.3])
def test_the_yaw_of_a_square_object_is_known_up_to_quarter_turns(yaw: float) -> None:
    for quarters in range(4):
        half = (yaw + quarters * np.pi / 2) / 2
        position, found_yaw = position_and_yaw(
            np.array([0.2, -0.1, 0.015, np.cos(half), 0, 0, np.sin(half)], np.float32)
        )
        np.testing.assert_allclose(position, [0.2, -0.1, 0.015], rtol=1e-6)
        assert found_yaw == pytest.approx(yaw, abs=1e-6)
