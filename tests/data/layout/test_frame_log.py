"""Pictures are stored once, however many rows show them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ebt_data.reading.episode import Episode


def test_a_frame_shown_in_several_rows_is_stored_once(record: Callable[..., Path]) -> None:
    with Episode(record(10)) as episode:
        assert len({episode.blob("top", row) for row in range(10)}) == 6
        shown = list(episode.iter_images("top"))
        assert [image is None for image in shown] == list(episode.camera_time("top")["repeated"])
        assert sum(image is not None for image in shown) == 6
    with h5py.File(episode.path) as file:
        assert len(np.unique(file["images/top/offset"])) == 6
        assert "images" not in file["observations"]
