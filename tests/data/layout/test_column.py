from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.layout.column import AppendableDataset


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_entries_come_back_in_order_over_many_chunks(tmp_path: Path, cache_bytes: int) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver=("v110", "v110"), rdcc_nbytes=cache_bytes) as file:
        growing = AppendableDataset(file.create_dataset("x", (0, 2), np.float32, chunks=(4, 2), maxshape=(None, 2)))
        for number in range(5):
            growing.append([number, -number])
        growing.extend(np.array([[5, -5], [6, -6], [7, -7], [8, -8]]))
        assert growing.length == 9
        file.flush()
        assert file["x"][:].tolist() == [[number, -number] for number in range(9)]


def test_an_entry_of_another_shape_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        growing = AppendableDataset(file.create_dataset("x", (0, 2), np.float32, chunks=(4, 2), maxshape=(None, 2)))
        with pytest.raises(ValueError, match="reshape"):
            growing.append([1, 2, 3])
        assert (growing.length, file["x"].shape) == (0, (0, 2))


def test_appending_continues_at_the_end_of_a_dataset(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("x", data=np.arange(3), chunks=(2,), maxshape=(None,))
        AppendableDataset(data).append(3)
        assert data[:].tolist() == [0, 1, 2, 3]
