"""What other tools find in converted episodes is what was recorded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.convert import export
from ebt_data.convert.aloha import to_aloha
from ebt_data.convert.export import META
from ebt_data.convert.robomimic import to_robomimic
from ebt_data.errors import DataError
from ebt_data.reading import labels
from ebt_data.reading.episode import Episode
from tests.data.conftest import bench_spec

Record = Callable[..., Path]


def test_aloha_finds_what_was_recorded_but_for_what_was_trimmed(record: Record, tmp_path: Path) -> None:
    paths = [record(6), record(4)]
    labels.add_label(paths[0], "trim", [1, 5], "me")
    made = to_aloha(paths, tmp_path / "out" / "aloha")
    assert [(path, file.name) for path, file in made] == [(paths[0], "episode_0.hdf5"), (paths[1], "episode_1.hdf5")]
    with Episode(paths[0]) as episode, h5py.File(made[0][1]) as file:
        assert bool(file.attrs["sim"]) is True
        np.testing.assert_array_equal(file["action"], episode.action[1:5])
        for name, values in (("qpos", episode.qpos), ("qvel", episode.qvel), ("effort", episode.effort)):
            np.testing.assert_array_equal(file[f"observations/{name}"], values[1:5])
        for camera in ("top", "wrist"):
            images = file[f"observations/images/{camera}"]
            assert images.chunks == (1, 48, 64, 3)
            np.testing.assert_array_equal(images, episode.images(camera)[1:5])
        meta = json.loads(file.attrs[META])
    assert meta["source"] == paths[0].name
    assert meta["joints"][0] == "shoulder_pan"
    assert meta["tick_s"] == pytest.approx([0.02, 0.04, 0.06, 0.08])
    assert meta["action"] == "sent to the motors, after limits"


def test_robomimic_finds_scaled_actions_and_can_take_them_back(record: Record, tmp_path: Path) -> None:
    spec = bench_spec(depth=True)
    paths = [record(6, spec), record(4, spec), record(5, spec)]
    made = to_robomimic(paths, tmp_path / "all.hdf5")
    with h5py.File(made) as file:
        data = file["data"]
        assert (int(data.attrs["total"]), sorted(data)) == (15, ["demo_0", "demo_1", "demo_2"])
        assert json.loads(data.attrs["env_args"]) == {"env_name": "pick_place", "type": 2, "env_kwargs": {}}
        scale = json.loads(data.attrs[META])
        actions = data["demo_1/actions"][:]
        assert np.abs(np.concatenate([group["actions"] for group in data.values()])).max() <= 1
        with Episode(paths[1]) as episode:
            np.testing.assert_allclose(actions * scale["half"] + scale["middle"], episode.action, atol=1e-5)
            np.testing.assert_array_equal(data["demo_1/obs/robot0_joint_pos"], episode.qpos)
            np.testing.assert_array_equal(data["demo_1/obs/wrist_image"], episode.images("wrist"))
            depth = episode.depth("wrist", 2)
            assert depth is not None
            np.testing.assert_allclose(data["demo_1/obs/wrist_depth"][2, ..., 0], depth * 1e-4, rtol=1e-6)
        assert "top_depth" not in data["demo_1/obs"]
        assert data["demo_1"].attrs["num_samples"] == 4
        assert (data["demo_1/dones"][:].tolist(), data["demo_1/rewards"][-1]) == ([0, 0, 0, 1], 1.0)
        masks = {name: {item.decode() for item in file[f"mask/{name}"]} for name in ("train", "valid")}
    assert masks["train"] | masks["valid"] == {"demo_0", "demo_1", "demo_2"}
    assert masks["train"] & masks["valid"] == set()
    assert masks["valid"]


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


def test_nothing_is_overwritten_and_nothing_half_is_left(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [record(2), record(3)]
    there = tmp_path / "there"
    there.mkdir()
    with pytest.raises(DataError, match="is there already"):
        to_aloha(paths, there)
    (there / "file").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
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


def test_a_disk_without_room_is_said_before_anything_is_written(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [record(3)]
    monkeypatch.setattr(export, "RESERVE_BYTES", 1 << 60)
    for write, target in ((to_aloha, tmp_path / "aloha"), (to_robomimic, tmp_path / "all.hdf5")):
        with pytest.raises(DataError, match="converting needs"):
            write(paths, target)
        assert not target.exists()


def test_cameras_whose_names_would_be_one_are_refused(record: Record, tmp_path: Path) -> None:
    shape = bench_spec().cameras["top"]
    for names, write, target in (
        (("left/top", "left_top"), to_robomimic, tmp_path / "all.hdf5"),
        (("top", "top/left"), to_aloha, tmp_path / "aloha"),
    ):
        spec = replace(bench_spec(), cameras=dict.fromkeys(names, shape))
        with pytest.raises(DataError, match="names clash"):
            write([record(2, spec)], target)


def test_arms_that_differ_do_not_go_into_one_file(record: Record, tmp_path: Path) -> None:
    paths = [record(2), record(2)]
    with pytest.raises(DataError, match="no episode"):
        to_robomimic([], tmp_path / "none.hdf5")
    other = record(2, replace(bench_spec(), joints=("a", "b", "c", "d", "e", "f")))
    with pytest.raises(DataError, match="has other joints or cameras"):
        to_robomimic([*paths, other], tmp_path / "all.hdf5")
