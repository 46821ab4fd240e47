"""What every converter promises: nothing overwritten, nothing half left, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.convert import export
from ebt_data.convert.aloha import to_aloha
from ebt_data.convert.robomimic import to_robomimic
from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from tests.data.conftest import bench_spec

Record = Callable[..., Path]


def test_rows_around_a_pause_become_two_demonstrations(record: Record, tmp_path: Path) -> None:
    paths = [record(7, pauses=(2, 6)), record(4)]  # it ended in a pause
    made = to_aloha(paths, tmp_path / "aloha")
    assert [path for path, _ in made] == [paths[0], paths[0], paths[1]]
    with Episode(paths[0]) as episode, h5py.File(made[1][1]) as file:
        np.testing.assert_array_equal(file["action"], episode.action[2:6])
        np.testing.assert_array_equal(file["observations/images/top"], episode.images("top")[2:6])
    with h5py.File(to_robomimic(paths, tmp_path / "all.hdf5")) as file:
        data = file["data"]
        assert {name: int(demo.attrs["num_samples"]) for name, demo in data.items()} == {
            "demo_0": 2,
            "demo_1": 4,
            "demo_2": 4,
        }
        assert [demo["dones"][:].sum() for demo in data.values()] == [0, 1, 1], "paused is not done"
        masks = [{item.decode() for item in file[f"mask/{name}"]} for name in ("train", "valid")]
    assert {"demo_0", "demo_1"} in masks, "an episode is on one side"


def test_nothing_is_overwritten_and_no_partial_output_remains(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [record(2), record(3)]
    there = tmp_path / "there"
    there.mkdir()
    with pytest.raises(DataError, match="already exists"):
        to_aloha(paths, there)
    (there / "file").write_text("mine")
    with pytest.raises(DataError, match="already exists"):
        to_robomimic(paths, there / "file")
    (tmp_path / "aloha.new").mkdir()
    (tmp_path / "aloha.new" / "file").write_text("mine")
    there_before = {path.name for path in tmp_path.iterdir()}
    before = Episode.image

    def damaged(self: Episode, camera: str, row: int) -> np.ndarray:
        if len(self) == 3:
            raise DataError("a damaged picture")
        return before(self, camera, row)

    monkeypatch.setattr(Episode, "image", damaged)
    for write, target in ((to_aloha, tmp_path / "aloha"), (to_robomimic, tmp_path / "all.hdf5")):
        with pytest.raises(DataError, match="damaged picture"):
            write(paths, target)
    assert {path.name for path in tmp_path.iterdir()} == there_before
    assert (tmp_path / "aloha.new" / "file").read_text() == "mine"


def test_a_full_disk_is_reported_before_anything_is_written(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [record(3)]
    monkeypatch.setattr(export, "RESERVE_BYTES", 1 << 60)
    for write, target in ((to_aloha, tmp_path / "aloha"), (to_robomimic, tmp_path / "all.hdf5")):
        with pytest.raises(DataError, match="converting needs"):
            write(paths, target)
        assert not target.exists()


def test_cameras_with_conflicting_names_are_rejected(record: Record, tmp_path: Path) -> None:
    shape = bench_spec().cameras["top"]
    for names, write, target in (
        (("left/top", "left_top"), to_robomimic, tmp_path / "all.hdf5"),
        (("top", "top/left"), to_aloha, tmp_path / "aloha"),
    ):
        spec = replace(bench_spec(), cameras=dict.fromkeys(names, shape))
        with pytest.raises(DataError, match="names conflict"):
            write([record(2, spec)], target)
