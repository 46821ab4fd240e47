"""Files that point elsewhere or claim more than they can hold."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.conftest import copy_to_edit, message_of


@pytest.mark.parametrize("kind", ["external", "soft", "virtual", "filter"])
def test_data_in_other_files_are_rejected(record: Callable[..., Path], kind: str) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        if kind == "filter":
            file.create_dataset("x", data=np.zeros(10), chunks=(10,), fletcher32=True)
        elif kind == "virtual":
            layout = h5py.VirtualLayout((1,), "f4")
            layout[:] = h5py.VirtualSource("/etc/passwd", "x", (1,))
            file.create_virtual_dataset("x", layout)
        else:
            file["x"] = h5py.ExternalLink("/etc/passwd", "/x") if kind == "external" else h5py.SoftLink("/action")
    assert message_of(path).endswith(("an episode contains all of its data", "with a filter that no episode uses"))


def test_implausible_sizes_are_rejected_before_memory_is_allocated(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        file.create_dataset("privileged/huge", (2, 1 << 40), "f4", chunks=(1, 1 << 10))
    assert message_of(path).endswith("which is not a privileged state")
    path.write_bytes(path.with_name("episode_0000.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["images/top/bytes"].resize(1 << 44, axis=0)
        file["images/top/length"][1] = 1 << 44
    assert message_of(path).endswith("bytes in /images/top/bytes, more than a file of its size can contain")
