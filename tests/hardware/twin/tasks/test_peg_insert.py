"""The peg and its two sockets: the demonstrations, the success test, and that the peg is visible to the cameras."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from ebt_data.step import Image
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_hardware.config.opening import TwinScene
from ebt_hardware.twin.live.server import LiveTwin
from ebt_hardware.twin.render.rendering import Renderer
from ebt_hardware.twin.tasks.peg_insert import SOCKET_HALF_M, SOCKET_HEIGHT_M, SOCKETS_M
from ebt_hardware.twin.world import TwinWorld

Poses = NDArray[np.float64]  # [T, 7]
STATE_BENCH = load_bench("twin").with_task("peg_insert").model_copy(update={"cameras": {}})


@dataclass(frozen=True)
class DemonstrationResult:
    """One demonstration."""

    succeeded: bool
    seconds: float
    peg: Poses
    knocked: int | None

    @property
    def socket(self) -> int:
        """Index of the socket nearest to the peg's final position."""
        return int(np.argmin([np.abs(self.peg[-1, :2] - place).max() for place in SOCKETS_M]))

    @property
    def missed(self) -> bool:
        """The peg rested on a rim for three ticks before it first went in."""
        rested = 0
        for x, y, z in self.peg[:, :3]:
            over = any(np.abs((x - u, y - v)).max() < SOCKET_HALF_M for u, v in SOCKETS_M)
            if over and z < SOCKET_HEIGHT_M - 0.006:
                return False
            rested = rested + 1 if over and abs(z - SOCKET_HEIGHT_M) < 0.003 else 0
            if rested == 3:
                return True
        return False


def run_demonstration(seed: int, knock: bool = False) -> DemonstrationResult:
    """Run one scripted demonstration, within the task's time limit."""
    poses, knocked = [], None
    with STATE_BENCH.open() as bench:
        assert bench.scene is not None
        operator = STATE_BENCH.open_leader(bench)
        observation = bench.reset(seed)
        operator.reset(observation)
        while observation.time_s < STATE_BENCH.longest_s and not bench.scene.succeeded():
            if knock and knocked is None and bench.scene.lifted():
                bench.scene.disturb("knock")
                knocked = len(poses)
            poses.append(observation.privileged["peg"])
            bench.act(operator.decide(observation).action)
            bench.wait()
            observation = bench.observe()
        return DemonstrationResult(
            bool(bench.scene.succeeded()), observation.time_s, np.array(poses, np.float64), knocked
        )


@pytest.fixture
def world() -> TwinWorld:
    return TwinWorld("peg_insert")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with STATE_BENCH.open() as opened:
        yield opened


def test_the_operator_misses_corrects_and_succeeds_at_either_socket() -> None:
    results = [run_demonstration(seed) for seed in range(800_000, 800_014)]
    assert all(result.succeeded for result in results)
    assert max(result.seconds for result in results) < STATE_BENCH.longest_s
    assert 4 <= sum(result.socket for result in results) <= 10
    assert sum(result.missed for result in results) >= 5
    assert not all(result.missed for result in results)


def test_a_knock_takes_the_peg_out_of_the_grip_by_force_and_the_operator_fetches_it_again() -> None:
    knocked = [run_demonstration(seed, knock=True) for seed in (800_000, 800_002)]
    for result in knocked:
        assert result.succeeded
        assert result.knocked is not None
        assert result.peg[result.knocked + 1 : result.knocked + 20, 2].min() < 0.005, "it fell onto the table"
        assert np.linalg.norm(np.diff(result.peg[:, :3], axis=0), axis=1).max() < 0.06, "nothing is teleported"


@pytest.mark.parametrize(
    ("place", "height_m", "quaternion", "done"),
    [
        (SOCKETS_M[0], 0.001, (1, 0, 0, 0), True),
        (SOCKETS_M[1], 0.001, (1, 0, 0, 0), True),
        ((SOCKETS_M[0][0] + 0.012, SOCKETS_M[0][1]), SOCKET_HEIGHT_M, (1, 0, 0, 0), False),  # on a rim
        ((0.21, 0.125), 0.0, (1, 0, 0, 0), False),  # between the sockets
        ((0.2, -0.05), 0.011, (0.7071, 0.7071, 0, 0), False),  # lying
    ],
)
def test_the_peg_counts_only_at_the_bottom_of_a_socket(
    world: TwinWorld, place: tuple[float, float], height_m: float, quaternion: tuple[float, ...], done: bool
) -> None:
    joint = world.data.joint("peg")
    joint.qpos[:] = (*place, height_m, *quaternion)
    joint.qvel[:] = 0.0
    world.advance(0.3)
    assert world.succeeded() is done


def test_a_peg_that_is_still_held_does_not_count(bench: Bench) -> None:
    assert isinstance(bench.scene, TwinScene)
    home = bench.reset(0).position
    joint = bench.scene.world.data.joint("peg")
    joint.qpos[:] = (*SOCKETS_M[0], 0.001, 1, 0, 0, 0)
    for gripper, done in ((0.2, False), (1.4, True)):
        for _ in range(20):
            bench.act(np.append(home[:5], gripper).astype(np.float32))
            bench.wait()
            bench.observe()
        assert bench.scene.succeeded() is done


def reddish(image: Image) -> int:
    """Pixels of the peg's head."""
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    return int(((red > 120) & (green < 70) & (blue < 70)).sum())


def dark(image: Image) -> int:
    """Pixels of a hole's floor: darker than the hand."""
    return int((image.max(axis=2) < 30).sum())


@pytest.mark.parametrize("backend", [None, "rays"])
def test_peg_and_holes_are_visible_in_both_cameras_at_the_size_that_policies_use(
    world: TwinWorld, backend: str | None
) -> None:
    renderer = Renderer(world.model, backend)
    try:
        for seed in range(3):
            world.reset(seed)
            top, wrist = (renderer.image(world.data, name, 96, 96) for name in ("top", "wrist"))
            assert reddish(top) >= 12
            assert dark(top) >= 40
            assert reddish(wrist) >= 12
    finally:
        renderer.close()


def test_the_live_twin_runs_it_too() -> None:
    with LiveTwin("peg_insert") as live:
        live.scene.reset(0)
        before = live.scene.privileged()["peg"]
        assert not live.scene.lifted()
        live.scene.disturb("nudge")
        while np.linalg.norm(live.scene.privileged()["peg"][:2] - before[:2]) < 0.01:
            assert live.process.is_alive()
