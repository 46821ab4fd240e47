"""What a loader of ALOHA's files finds is what was recorded."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.convert.aloha import to_aloha
from ebt_data.convert.export import META
from ebt_data.reading import labels
from ebt_data.reading.episode import Episode

Record = Callable[..., Path]


def test_aloha_reads_the_recorded_data_without_trimmed_rows(record: Record, tmp_path: Path) -> None:
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
