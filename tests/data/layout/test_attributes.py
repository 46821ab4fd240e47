"""Root attributes of a file that is damaged, foreign or too long."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ebt_data.reading.episode import Episode
from tests.data.conftest import copy_to_edit, message_of


def test_another_hdf5_file_is_not_an_episode(tmp_path: Path) -> None:
    path = tmp_path / "aloha.h5"
    with h5py.File(path, "w") as file:
        file["action"] = np.zeros((5, 6))
    assert message_of(path) == f"{path} is an HDF5 file, but not an episode: it has no attribute ebt_format"


def test_an_unknown_format_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        file.attrs["ebt_format"] = 2
    assert message_of(path) == f"{path} has episode format 2; this version of ebt reads 1"


def test_a_missing_attribute_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        del file.attrs["joints"]
    assert message_of(path) == f"{path} is damaged: 'joints'"


def test_long_texts_of_a_file_are_limited(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        file.attrs["operator"] = "x" * 300_000
    assert len(Episode(path).meta.operator) == 200_000
