import pytest

from ebt_recipes.policy.deadline import Deadline


def test_without_an_earlier_plan_all_steps_are_taken() -> None:
    assert Deadline(0.02).steps(8) == 8


@pytest.mark.parametrize(("wanted", "taken"), [(8, 4), (3, 3), (0, 0)])
def test_as_many_steps_are_taken_as_fit(wanted: int, taken: int) -> None:
    deadline = Deadline(0.05)
    deadline.record(rest_s=0.009, steps_s=0.02, steps=2)
    assert deadline.steps(wanted) == taken


def test_one_step_is_taken_however_late_it_is() -> None:
    deadline = Deadline(0.001)
    deadline.record(rest_s=0.5, steps_s=0.5, steps=1)
    assert deadline.steps(8) == 1


def test_one_outlier_is_ignored_and_a_slower_machine_is_not() -> None:
    deadline = Deadline(0.1)
    deadline.record(rest_s=0.0, steps_s=9.0, steps=1)
    deadline.record(rest_s=0.0, steps_s=0.01, steps=1)
    assert deadline.steps(8) == 8
    for _ in range(3):
        deadline.record(rest_s=0.0, steps_s=0.05, steps=1)
    assert deadline.steps(8) == 2
