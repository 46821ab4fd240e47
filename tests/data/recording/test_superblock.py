import contextlib
from pathlib import Path

import h5py
import pytest

from ebt_data.recording import superblock


def test_the_superblock_checksum_is_the_one_that_hdf5_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=("v110", "v110")):
        pass
    block = path.read_bytes()[:48]
    assert superblock.lookup3(block[:44]) == int.from_bytes(block[44:], "little")
    # The values that Bob Jenkins gives in lookup3.c.
    assert superblock.lookup3(b"") == 0xDEADBEEF
    assert superblock.lookup3(b"Four score and seven years ago") == 0x17770551


def test_clearing_the_flag_of_a_killed_file_lets_hdf5_open_it(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file["x"] = [1, 2, 3]
    block = bytearray(path.read_bytes())
    block[11] = 5  # written by SWMR, as after a kill
    block[44:48] = superblock.lookup3(bytes(block[:44])).to_bytes(4, "little")
    path.write_bytes(block)
    with pytest.raises(OSError, match="already open"), contextlib.closing(h5py.File(path)):
        pass
    with path.open("r+b") as raw:
        assert superblock.clear_write_flag(raw)
    with h5py.File(path) as file:
        assert list(file["x"]) == [1, 2, 3]
