"""Recordings that are copied to a new file because HDF5 cannot truncate them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.layout import attributes, row_checksums
from ebt_data.layout.hdf5 import list_datasets
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording import repair as repairing
from ebt_data.recording.repair import repair
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Event, Step


@pytest.mark.parametrize("quality", [None, 95], ids=["qoi", "jpeg"])
def test_if_hdf5_cannot_truncate_the_rows_are_copied_to_a_new_file(
    quality: int | None,
    make_spec: Callable[..., BenchSpec],
    make_step: Callable[..., Step],
    meta: EpisodeMeta,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = make_spec(depth=True)
    writer = EpisodeWriter(tmp_path, spec, meta, quality=quality, reserve_bytes=0)
    for row in range(40):
        writer.append(make_step(row, spec, (Event("mark", f"row {row}"),) if row in (7, 39) else ()))
    writer.abandon()
    with h5py.File(writer.path, "r+", locking=False) as file:
        created = file.attrs["created"]
        file["/action"].resize(36, axis=0)
    monkeypatch.setattr(repairing, "_truncate", lambda datasets, lengths: False)
    assert "rows kept: 36, marked as aborted" in repair(tmp_path)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["episode_0000.h5", "SHA256SUMS"]
    with Episode(tmp_path / "episode_0000.h5") as episode:
        episode.read_through()
        assert (episode.meta, episode.attrs["created"]) == (meta, created)
        assert [(event.row, event.text) for event in episode.events] == [(7, "row 7")]
        for row in range(36):
            frame = make_step(row, spec).observation.frames["wrist"]
            assert np.abs(episode.image("wrist", row).astype(int) - frame.image).max() <= (0 if quality is None else 60)
            np.testing.assert_array_equal(episode.depth("wrist", row), frame.depth)
    with h5py.File(tmp_path / "episode_0000.h5") as file:
        attrs, datasets = attributes.read(file), list_datasets(file)
        assert row_checksums.first_mismatch(datasets, attributes.spec(attrs), "rollout", 0, 36) is None
        assert file["/depth/wrist/frames"].maxshape[0] is None and len(file["/depth/wrist/frames"]) == 22
        assert file["/images/top"].attrs["encoding"] == ("qoi" if quality is None else "jpeg")
