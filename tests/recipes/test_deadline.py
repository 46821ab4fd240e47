from types import SimpleNamespace

import pytest

from ebt_hardware.bench import Bench
from ebt_recipes import descent
from ebt_recipes.checkpoint import Run
from ebt_recipes.deadline import Deadline
from ebt_recipes.descent import Descent
from ebt_recipes.planner import Effort, Request


def test_without_a_plan_before_it_nothing_is_known_and_all_steps_are_taken() -> None:
    assert Deadline(0.02).steps(8) == 8


@pytest.mark.parametrize(("wanted", "taken"), [(8, 4), (3, 3), (0, 0)])
def test_as_many_steps_are_taken_as_fit(wanted: int, taken: int) -> None:
    deadline = Deadline(0.05)
    deadline.note(fixed_s=0.009, steps_s=0.02, steps=2)
    assert deadline.steps(wanted) == taken


def test_one_step_is_taken_however_late_it_is() -> None:
    deadline = Deadline(0.001)
    deadline.note(fixed_s=0.5, steps_s=0.5, steps=1)
    assert deadline.steps(8) == 1


def test_what_is_expected_follows_the_machine() -> None:
    deadline = Deadline(0.1)
    deadline.note(fixed_s=0.0, steps_s=0.01, steps=1)
    for _ in range(30):
        deadline.note(fixed_s=0.0, steps_s=0.2, steps=4)
    assert deadline.step_s == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize(("within_s", "steps"), [(0.0, [5, 5]), (2.5, [5, 2]), (0.5, [5, 1])])
def test_a_plan_takes_fewer_steps_rather_than_longer(
    twin: Bench, untrained: Run, monkeypatch: pytest.MonkeyPatch, within_s: float, steps: list[int]
) -> None:
    """On a clock by which encoding takes 0.5 s and a step 1 s."""
    plan = Descent(untrained, twin.spec, within_s=within_s)
    reading = iter([0.0, 0.5, 5.5, 10.0, 10.5, 11.5])
    monkeypatch.setattr(descent, "time", SimpleNamespace(perf_counter=lambda: next(reading)))
    request = Request(twin.reset(1), seed=3, effort=Effort(steps=5))
    assert [len(plan(request).trace) - 1 for _ in range(2)] == steps
