"""What a loader of robomimic's files finds is what was recorded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.convert.export import META
from ebt_data.convert.robomimic import to_robomimic
from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from tests.data.conftest import bench_spec

Record = Callable[..., Path]


def test_robomimic_reads_scaled_actions_that_can_be_unscaled(record: Record, tmp_path: Path) -> None:
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


def test_different_arms_are_not_exported_to_one_file(record: Record, tmp_path: Path) -> None:
    paths = [record(2), record(2)]
    with pytest.raises(DataError, match="no episode"):
        to_robomimic([], tmp_path / "none.hdf5")
    other = record(2, replace(bench_spec(), joints=("a", "b", "c", "d", "e", "f")))
    with pytest.raises(DataError, match="has other joints or cameras"):
        to_robomimic([*paths, other], tmp_path / "all.hdf5")
