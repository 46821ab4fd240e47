"""`ebt convert` as a person types it, on short demonstrations."""

from pathlib import Path
from typing import Any

import h5py
import pytest

from ebt_cli.app import run
from ebt_data.step import BenchSpec
from tests.cli.conftest import record_demos


@pytest.fixture
def demos(spec: BenchSpec, ticks: Any, tmp_path: Path) -> Path:
    """A folder of three, of which the second is excluded."""
    record_demos(tmp_path / "demos", spec, "small", ticks, 3)
    run(["label", str(tmp_path / "demos" / "episode_0001.h5"), "--exclude"])
    return tmp_path / "demos"


def test_what_does_not_count_for_training_is_not_exported(demos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["convert", str(demos)]) == 0
    out, err = capsys.readouterr()
    made = demos.with_name("demos_aloha")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["episode", "as"]
    assert [(Path(one).name, Path(other).name) for one, other in rows[1:]] == [
        ("episode_0000.h5", "episode_0.hdf5"),
        ("episode_0002.h5", "episode_1.hdf5"),
    ]
    assert sorted(path.name for path in made.iterdir()) == ["episode_0.hdf5", "episode_1.hdf5"]
    assert "2 of 3 episodes (1 are no whole successes)" in err


def test_one_file_holds_all_of_them_where_asked(demos: Path, tmp_path: Path) -> None:
    assert run(["convert", str(demos), "--to", "robomimic", "--out", str(tmp_path / "all.hdf5")]) == 0
    with h5py.File(tmp_path / "all.hdf5") as file:
        assert len(file["data"]) == 2


def test_nothing_to_export_is_one_sentence_and_nothing_is_left_behind(
    demos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    one = demos / "episode_0001.h5"
    assert run(["convert", str(one)]) == 5
    out, err = capsys.readouterr()
    assert out == "" and "none of 1 episodes" in err and f"hint: ebt inspect {one}" in err
    assert [path.name for path in demos.parent.iterdir()] == ["demos"]
