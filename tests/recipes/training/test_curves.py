from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from ebt_recipes.training.curves import load_curves


def test_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert load_curves(tmp_path) == {}
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        for step in range(3):
            writer.add_scalar("training/loss", 3.0 - step, step)
            writer.add_scalar("validation/action_error_rad", 0.5 * step, step)
    assert load_curves(tmp_path) == {
        "training/loss": [(0, 3.0), (1, 2.0), (2, 1.0)],
        "validation/action_error_rad": [(0, 0.0), (1, 0.5), (2, 1.0)],
    }


@pytest.mark.parametrize("name", ["hparams.yaml", "notes.txt"])
def test_other_files_in_the_folder_are_ignored(name: str, tmp_path: Path) -> None:
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / name).write_text("x")
    assert load_curves(tmp_path) == {}
