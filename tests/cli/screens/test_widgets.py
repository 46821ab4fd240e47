from math import inf, nan

import pytest

from ebt_cli.screens import widgets


def test_a_strip_is_as_high_and_wide_as_asked() -> None:
    strip = widgets.strip([float(v) for v in range(300)], [100.0] * 300, [False] * 300, width=74, height=6)
    rows = strip.plain.split("\n")
    assert len(rows) == 6
    assert {len(row) for row in rows} == {74}
    assert rows[0].startswith("    299 ┤") and rows[-1].startswith("      3 ┤"), "the highest of each run is shown"


def test_a_full_strip_only_gets_denser() -> None:
    widths = [len(widgets.strip([1.0] * n, [2.0] * n, [False] * n, 40, 2).plain.split("\n")[0]) for n in range(31, 100)]
    assert set(widths) == {40}


def test_bars_above_the_threshold_are_red_and_a_retry_is_pale_except_for_its_first_bar() -> None:
    strip = widgets.strip([1.0, 3.0, 3.0], [2.0] * 3, [False, True, True], width=widgets.SCALE + 3, height=4)
    bottom = strip.plain.split("\n")[-1]
    assert bottom[widgets.SCALE :] == "▁█░"
    assert {str(span.style) for span in strip.spans} >= {widgets.CALM, widgets.ALARM, widgets.RETRY, widgets.LIMIT}


def test_the_threshold_continues_through_higher_bars() -> None:
    rows = widgets.strip([0.0, 4.0, 0.0], [2.0] * 3, [False] * 3, widgets.SCALE + 3, 5).plain.split("\n")
    assert [row[widgets.SCALE :] for row in rows] == [" █ ", " █ ", "───", " █ ", "▁█▁"]


def test_marks_never_run_into_each_other_or_over_the_edge() -> None:
    line = widgets.marks([(3, "knock"), (6, "rise"), (20, "again"), (48, "gave up")], [False] * 50, 59).plain
    assert line == " " * 9 + "   ▲knock           ▲again               gave up▲ "
    assert len(line) == 59


def test_marks_show_retries() -> None:
    assert widgets.marks([(1, "x")], [False, False, True, True, True], 20).plain == " " * 9 + " ▲x~~      "


def test_a_strip_without_numbers_is_empty() -> None:
    assert widgets.strip([nan, inf], [nan, nan], [False, False], 10, 2).plain.replace("│", "").strip() == ""


def test_a_peak_survives_when_many_values_share_a_column() -> None:
    assert max(widgets.buckets([0.0] * 500 + [9.0] + [0.0] * 500, 50)) == 9.0


def test_a_sparkline_of_one_value_is_one_mark() -> None:
    assert len(widgets.spark([2.0], 10).plain) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "7 s"), (125, "2 min 05 s"), (4200, "1 h 10 min"), (nan, "?"), (inf, "?")]
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert widgets.duration(seconds) == text


def test_a_bar_stays_inside_its_width() -> None:
    assert [len(widgets.bar(value, -1, 1, 9)) for value in (-5.0, 0.0, 5.0, nan)] == [9] * 4
