from ebt_cli.screens.page import MOST_VALUES, flat


def test_a_short_list_is_one_cell() -> None:
    assert flat({"joints": ["pan", "lift"]}) == [("joints", "pan lift")]


def test_a_curve_of_hundreds_of_points_is_counted_and_not_printed() -> None:
    curve = [[step, 0.5] for step in range(100 * MOST_VALUES)]
    ((name, value),) = flat({"curves": {"training/loss": curve}})
    assert name == "curves.training/loss"
    assert value == "1200 values from [0, 0.5] to [1199, 0.5]; all of them with --json"
