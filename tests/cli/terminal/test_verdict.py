import pytest

from ebt_cli.terminal.verdict import Grade, graded, rate_reason


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
