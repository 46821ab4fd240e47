from math import inf, nan

import pytest

from ebt_cli import widgets


def test_a_strip_is_as_high_and_wide_as_asked() -> None:
    strip = widgets.strip([float(v) for v in range(300)], [100.0] * 300, [False] * 300, width=74, height=6)
    rows = strip.plain.split("\n")
    assert len(rows) == 6
    assert all(len(row) <= 74 for row in rows)


def test_what_is_above_the_threshold_is_red_and_a_retry_yellow() -> None:
    strip = widgets.strip([1.0, 3.0, 3.0], [2.0] * 3, [False, False, True], width=3, height=1)
    assert [str(span.style) for span in strip.spans] == [widgets.CALM, widgets.ALARM, widgets.RETRY]


def test_a_strip_without_numbers_is_empty() -> None:
    assert widgets.strip([nan, inf], [nan, nan], [False, False], 10, 2).plain.strip() == ""


def test_a_peak_survives_when_many_values_share_a_column() -> None:
    assert max(widgets.buckets([0.0] * 500 + [9.0] + [0.0] * 500, 50)) == 9.0


def test_a_sparkline_of_one_value_is_one_mark() -> None:
    assert len(widgets.spark([2.0], 10).plain) == 1


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.4, "7 s"), (125, "2 min 05 s"), (4200, "1 h 10 min"), (nan, "?"), (inf, "?")]
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert widgets.duration(seconds) == said


def test_a_bar_stays_inside_its_width() -> None:
    assert [len(widgets.bar(value, -1, 1, 9)) for value in (-5.0, 0.0, 5.0, nan)] == [9] * 4
