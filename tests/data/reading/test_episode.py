import os
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from tests.data.conftest import copy_to_edit, message_of


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_gives_a_data_error_or_valid_arrays(record: Callable[..., Path], seed: int) -> None:
    path = copy_to_edit(record(5))
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for _ in range(200):
        content[chance.randrange(48, len(content))] = chance.randrange(256)
    path.write_bytes(content)
    try:
        with Episode(path) as episode:
            for camera in episode.spec.cameras:
                episode.images(camera)
            assert episode.qpos.shape == (len(episode), 6)
            assert episode.events == []
    except DataError as error:
        assert "\n" not in str(error)


def test_unknown_datasets_are_ignored(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(5))
    with h5py.File(path, "r+") as file:
        for name in ("audio", "observations", "time", "images/left", "energy", "events", "motors", "events_more"):
            file[f"{name}/samples"] = np.zeros((3, 2))
            file[f"{name}/about"] = 1.0
        file["about"] = "a text"
        file.create_dataset("audio/long", (1 << 40,), "f4", chunks=(1 << 10,))
    with Episode(path) as episode:
        assert len(episode) == 5
        assert len(episode.images("top")) == 5
        assert episode.energy is not None and "samples" not in episode.energy


def test_a_privileged_state_that_is_not_an_array_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        file["privileged/x"] = np.float32(1)
    assert message_of(path) == f"{path} has () float32 in /privileged/x, which is not a privileged state"


def test_a_missing_group_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        del file["observations"]
    expected = "lacks /observations/qpos, /observations/qvel, /observations/effort"
    assert message_of(path) == f"{path} {expected}"


def test_an_array_of_the_wrong_width_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        del file["action"]
        file["action"] = np.zeros((2, 3), np.float32)
    assert message_of(path) == f"{path} has (2, 3) float32 in /action, not (6,) per row"


def test_a_damaged_picture_and_an_unknown_camera_are_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        file["images/top/bytes"][:] = 0
    with Episode(path) as episode:
        with pytest.raises(DataError, match=r"damaged image of top in row 1"):
            episode.image("top", 1)
        with pytest.raises(DataError, match="has no camera 'left'; it has top, wrist"):
            episode.image("left", 1)


def test_a_changed_file_is_detected_by_its_checksum(record: Callable[..., Path]) -> None:
    path = record(1)
    with Episode(path) as episode:
        assert episode.verify() is True
    before = path.stat()
    path.chmod(0o644)
    with h5py.File(path, "r+") as file:
        file["action"][0] = 0
    assert "not what was recorded: its sha256" in message_of(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk that forgets leaves it
    with Episode(path) as episode:
        assert episode.verify() is False
    assert Episode(copy_to_edit(path)).verify() is None


def test_too_many_events_are_rejected(record: Callable[..., Path]) -> None:
    path = record(4)
    path.with_name("SHA256SUMS").unlink()
    path.chmod(0o644)
    with h5py.File(path, "r+") as file:
        for data in file["events"].values():
            data.resize(5_000, axis=0)
    with pytest.raises(DataError, match="states 4 rows and 5000 events"):
        Episode(path)
