import numpy as np
import pytest

from ebt_cli.reports.rollouts_report import SMOOTHED, separation
from ebt_cli.terminal.verdict import Grade, graded, rate_reason
from ebt_recipes.uncertainty.monitor import smooth


@pytest.mark.parametrize(
    ("successes", "judged", "grade"),
    [
        (8, 8, Grade.DOUBTFUL),
        (19, 20, Grade.GOOD),
        (49, 50, Grade.GOOD),
        (25, 50, Grade.DOUBTFUL),
        (0, 10, Grade.BAD),
        (0, 2, Grade.DOUBTFUL),
        (0, 0, Grade.DOUBTFUL),
    ],
)
def test_a_rate_is_judged_by_its_interval(successes: int, judged: int, grade: Grade) -> None:
    assert rate_reason("success_rate", successes, judged).grade is grade


def test_a_rate_says_when_it_rests_on_too_few() -> None:
    assert rate_reason("success_rate", 2, 2).text == "2 of 2 rollouts succeeded (34-100 %): too few to tell"
    assert rate_reason("success_rate", 30, 50).text.endswith("neither good nor bad")


def test_grades_go_by_either_direction() -> None:
    assert [graded(value, 0.01, 0.05) for value in (0.01, 0.02, 0.06)] == [Grade.GOOD, Grade.DOUBTFUL, Grade.BAD]
    assert [graded(value, 50, 10) for value in (50, 49, 9)] == [Grade.GOOD, Grade.DOUBTFUL, Grade.BAD]


def test_separation_is_the_chance_that_a_failure_lies_higher() -> None:
    assert separation([[3.0], [4.0]], [[1.0], [2.0]]) == 1.0
    assert separation([[1.0]], [[1.0]]) == 0.5
    assert separation([[2.0]], [[1.0], [3.0], [4.0], [5.0]]) == 0.25


def test_separation_compares_over_the_time_that_both_lasted() -> None:
    assert separation([[1.0, 1.0, 9.0]], [[2.0, 0.0]]) == 0.0
    assert separation([[1.0, 3.0, 9.0]], [[2.0, 0.0]]) == 1.0


def test_noise_of_unequal_lengths_tells_nothing() -> None:
    noise = np.random.default_rng(5)
    failures = [smooth(noise.normal(size=40).tolist(), SMOOTHED) for _ in range(100)]
    successes = [smooth(noise.normal(size=noise.integers(8, 25)).tolist(), SMOOTHED) for _ in range(100)]
    assert separation(failures, successes) == pytest.approx(0.5, abs=0.06)
