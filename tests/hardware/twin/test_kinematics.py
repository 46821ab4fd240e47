import mujoco
import numpy as np
import pytest

from ebt_hardware.twin.kinematics import OutOfReach, inverse, wrap_quarter
from ebt_hardware.twin.scene import JOINTS
from ebt_hardware.twin.world import TwinWorld


@pytest.mark.parametrize(
    "goal", [(0.16, 0.0, 0.14, 0.0), (0.2, 0.1, 0.02, 0.5), (0.18, -0.12, 0.05, -0.3), (0.25, 0.0, 0.03, 0.0)]
)
def test_the_joint_angles_put_the_grasp_point_at_the_requested_position(
    goal: tuple[float, float, float, float],
) -> None:
    world = TwinWorld()
    reached = []
    for joints in (inverse(*goal), inverse(0.16, 0.0, 0.14, 0.0)):
        for joint, value in zip(JOINTS[:5], joints, strict=True):
            world.data.joint(f"follower/{joint}").qpos[0] = value
        mujoco.mj_kinematics(world.model, world.data)
        reached.append(world.data.site("follower/grasp").xpos.copy())
    # The arm's base may be anywhere on the table, so the test compares the displacement between two poses.
    np.testing.assert_allclose(reached[0] - reached[1], np.subtract(goal[:3], (0.16, 0.0, 0.14)), atol=1e-3)


def test_positions_out_of_reach_are_refused() -> None:
    with pytest.raises(OutOfReach, match=r"the arm reaches 0\.34 m"):
        inverse(0.5, 0.0, 0.1, 0.0)


@pytest.mark.parametrize("angle", np.linspace(-4, 4, 9))
def test_a_quarter_turn_is_no_turn_for_a_cube(angle: float) -> None:
    assert -np.pi / 4 <= wrap_quarter(angle) < np.pi / 4
    assert wrap_quarter(angle + np.pi / 2) == pytest.approx(wrap_quarter(angle))
