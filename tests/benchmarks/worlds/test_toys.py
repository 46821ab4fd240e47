"""The toys of the benchmarks: rows are independent, operators succeed, and the mean of two ways fails."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.worlds.toys.fork import Fork
from benchmarks.worlds.toys.grasp import FALL, PUSH, GraspWorld
from benchmarks.worlds.toys.peg_insert import PegInsert
from benchmarks.worlds.toys.sort import Sort
from benchmarks.worlds.toys.toy import Toy, demonstrations, operator_success

TOYS = (Fork, PegInsert, Sort)
GRASPING = (PegInsert, Sort)
BOUND = max(FALL, PUSH) + 1e-9
"""No loose thing moves further in a step."""


def run_operators(worlds: Toy) -> list[NDArray[np.float32]]:
    """The observations of every step while operators act."""
    operator, views = worlds.operator(), []
    while not worlds.over.all():
        views.append(np.concatenate(worlds.observe(), axis=1))
        worlds.step(operator.act())
    return views


def positions_of(worlds: GraspWorld) -> NDArray[np.float64]:
    """[N, K, 2] of the things, [N, 1, 2] of a hole or bin behind them."""
    assert isinstance(worlds, PegInsert | Sort)
    goal = worlds.holes if isinstance(worlds, PegInsert) else worlds.bins
    return np.concatenate([worlds.things, np.stack([goal[:, :1], 0 * goal[:, :1]], axis=2)], axis=1)


@pytest.mark.parametrize("toy", TOYS)
def test_the_view_has_the_announced_sizes(toy: type[Toy]) -> None:
    worlds = toy()
    worlds.reset([1, 2, 3])
    view = worlds.observe()
    assert view.position.shape == (3, toy.joints) and view.state.shape == (3, toy.state_size)
    assert view.position.dtype == view.state.dtype == np.float32
    assert len(toy.speed) == toy.joints


@pytest.mark.parametrize("toy", TOYS)
def test_a_row_does_not_depend_on_the_others(toy: type[Toy]) -> None:
    together, alone = toy(), toy()
    together.reset([7, 8, 9])
    alone.reset([8])
    for kind in toy.disturbances:
        together.disturb(kind, np.array([True, True, False]))
        alone.disturb(kind, np.array([True]))
    for many, one in zip(run_operators(together), run_operators(alone), strict=False):
        assert np.array_equal(many[1], one[0])
    assert together.succeeded[1] == alone.succeeded[0]


@pytest.mark.parametrize("toy", TOYS)
def test_a_world_that_is_over_does_not_change(toy: type[Toy]) -> None:
    worlds = toy()
    worlds.reset([3])
    last = run_operators(worlds)
    before = worlds.observe()
    for kind in toy.disturbances:
        worlds.disturb(kind, np.array([True]))
    worlds.step(before.position + 0.1)
    after = worlds.observe()
    assert last and all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    assert worlds.over.all() and worlds.succeeded.all()


@pytest.mark.parametrize("toy", TOYS)
def test_the_operator_succeeds(toy: type[Toy]) -> None:
    assert operator_success(toy, range(100)) >= 0.95


@pytest.mark.parametrize("toy", TOYS)
def test_same_seed_same_demonstrations(toy: type[Toy]) -> None:
    first, again, other = (demonstrations(toy, 5, seed) for seed in (4, 4, 5))
    assert len(first) == 5
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.position, two.position)
        assert np.array_equal(one.state, two.state)
        assert np.array_equal(one.action, two.action)
        assert len(one.position) == len(one.state) == len(one.action) < toy.longest
    assert not np.array_equal(first[0].position[0], other[0].position[0])


def test_demonstrations_hold_only_successes() -> None:
    """Half the worlds of this toy fail whatever the operator does."""

    class Hard(Fork):
        def _set_scene(self) -> None:
            super()._set_scene()
            self._failed |= self.scene_draws[:, 10] < 0.5

    assert 0.3 < operator_success(Hard, range(100)) < 0.7
    runs = demonstrations(Hard, 20, 0)
    assert len(runs) == 20
    assert all(np.linalg.norm(each.state[-1, 2:]) < 0.1 for each in runs)


@pytest.mark.parametrize("toy", (Fork, Sort))
def test_the_operators_go_both_ways(toy: type[Toy]) -> None:
    runs = demonstrations(toy, 60, 1)
    if toy is Fork:
        ways = [each.state[np.abs(each.state[:, 1]).argmin(), 0] > 0 for each in runs]
    else:
        ways = [each.state[:, 6].argmax() < each.state[:, 7].argmax() for each in runs]
    assert 0.3 < np.mean(ways) < 0.7


def test_straight_through_the_pillar_fails() -> None:
    worlds = Fork()
    worlds.reset(range(20))
    while not worlds.over.all():
        worlds.step(worlds.observe().position + np.array([0.0, 0.02]))
    assert not worlds.succeeded.any()
    assert worlds.time < Fork.longest


@pytest.mark.parametrize(("off", "gripped"), ((0.0, True), (0.06, False)))
def test_fingers_beside_the_middle_knock_an_object_over(off: float, gripped: bool) -> None:
    worlds = Sort()
    worlds.reset(range(20))
    middle = worlds.things[:, 0, 0] + off
    for step in range(60):
        height = max(0.4 - 0.02 * max(step - 8, 0), 0.01)
        shut = float(step > 40)
        worlds.step(np.column_stack([middle, np.full(20, height), np.full(20, shut)]))
    assert worlds.held[:, 0].all() == gripped
    assert worlds.over.all() != gripped


def test_releasing_beside_a_bin_fails() -> None:
    worlds = Sort()
    worlds.reset(range(20))
    operator = worlds.operator()
    while not worlds.over.all():
        goal = operator.act()
        # The hand opens at the height of the bins, wherever it is.
        early = worlds.holding & (worlds.position[:, 0] > worlds.bins[:, 0] - 0.1)
        goal[:, 2] = np.where(early, 0.0, goal[:, 2])
        worlds.step(goal)
    assert not worlds.succeeded.any()


@pytest.mark.parametrize("toy", GRASPING)
@pytest.mark.parametrize("kind", GraspWorld.disturbances)
def test_a_disturbance_moves_things_at_finite_speed_and_does_something(toy: type[GraspWorld], kind: str) -> None:
    calm, shaken = toy(), toy()
    seeds = range(20)
    calm.reset(seeds)
    shaken.reset(seeds)
    operators = calm.operator(), shaken.operator()
    shaken.disturb(kind, np.ones(len(seeds), np.bool_))
    apart = np.zeros(len(seeds))
    while not (calm.over | shaken.over).all():
        before, held = positions_of(shaken), shaken.held.copy()
        for worlds, operator in zip((calm, shaken), operators, strict=True):
            worlds.step(operator.act())
        after = positions_of(shaken)
        loose = np.column_stack([~held & ~shaken.held, np.ones(len(seeds), np.bool_)])
        assert np.abs(after - before)[loose].max() <= BOUND
        running = ~calm.over & ~shaken.over
        difference = np.abs(after - positions_of(calm)).max(axis=(1, 2))
        apart = np.maximum(apart, np.where(running, difference, 0.0))
    assert (apart > 0.02).mean() > 0.9


@pytest.mark.parametrize("toy", GRASPING)
@pytest.mark.parametrize("kind", GraspWorld.disturbances)
def test_the_operator_copes_with_disturbances(toy: type[GraspWorld], kind: str) -> None:
    worlds = toy()
    worlds.reset(range(40))
    worlds.disturb(kind, np.ones(40, np.bool_))
    run_operators(worlds)
    assert worlds.succeeded.mean() >= 0.9


def test_an_unknown_disturbance_is_refused() -> None:
    worlds = Fork()
    worlds.reset([0])
    with pytest.raises(ValueError, match="none"):
        worlds.disturb("drop", np.array([True]))


def test_the_peg_goes_in_only_within_the_tolerance() -> None:
    worlds = PegInsert()
    worlds.reset(range(20))
    rim = worlds.rim
    for off, enters in ((0.011, True), (0.02, False)):
        worlds.reset(range(20))
        worlds.position = np.column_stack([worlds.holes[:, 0] + off, np.full(20, 0.3), np.ones(20)])
        worlds.things[:, 0] = worlds.position[:, :2]
        worlds.held[:] = True
        worlds.noise[:] = 0.0
        for _ in range(20):
            worlds.step(worlds.position - np.array([0.0, 0.02, 0.0]))
        assert worlds.succeeded.all() == enters
        assert enters or np.allclose(worlds.things[:, 0, 1], rim)
