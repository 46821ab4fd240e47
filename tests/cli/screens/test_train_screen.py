"""The screen of a training: losses, data wait, time left."""

import pytest

from ebt_cli.screens.train_screen import TrainView
from ebt_data.errors import MisuseError
from ebt_recipes.training.train import Progress
from tests.cli.screens.conftest import SIZES, fits, screen


@pytest.mark.parametrize("size", SIZES)
def test_the_train_screen_fits_and_shows_loss_wait_and_time_left(size: tuple[int, int]) -> None:
    view = TrainView("ebt train")
    assert "reading episodes" in "\n".join(screen(view, size))
    parts = {name: 1.0 for name in ("loss", "match", "level", "forecast", "negative", "gradient_norm")}
    for step in range(1, 200):
        validation = {**parts, "action_error_rad": 0.03 + 1 / step}
        view.report(Progress(step, 4000, step / 4000, parts, validation, 1e-3, 0.25, 10.0, 125.0))
    rows = screen(view, size)
    assert fits(rows, size), "\n".join(rows)
    shown = "\n".join(rows)
    for words in ("training loss", "validation loss", "action error, rad", "0.03503", "data wait 25%",
                  "2 min 05 s left", "elapsed 10 s", "--resume"):  # fmt: skip
        assert words in shown


def test_the_train_screen_keeps_its_height_when_the_first_validation_comes() -> None:
    view = TrainView("ebt train")
    parts = {name: 1.0 for name in ("loss", "match", "level", "forecast", "negative", "gradient_norm")}
    view.report(Progress(20, 4000, 0.01, parts))
    before = screen(view)
    assert "validation loss          comes at the first check" in "\n".join(before)
    held_out = {name: value for name, value in parts.items() if name != "gradient_norm"} | {"action_error_rad": 0.1}
    view.report(Progress(40, 4000, 0.02, parts, held_out))
    assert len(screen(view)) == len(before)


def test_a_training_without_an_update_is_reported() -> None:
    with pytest.raises(MisuseError, match="nothing was trained"):
        TrainView("train").last()
