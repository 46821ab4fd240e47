"""Images are equal for every storage, each stored once, and no file handle is used after a fork."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading import labels
from ebt_data.reading.episode import Episode
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Outcome, Step
from ebt_data.windows import pictures
from ebt_data.windows.windows import Windows

Record = Callable[..., Path]
STORAGES: tuple[pictures.ImageStorage, ...] = ("memory", "cache", "files")
SIZE = (24, 32)


def of(paths: list[Path], way: pictures.ImageStorage) -> Windows:
    return Windows(paths, history=2, horizon=1, image_size=SIZE, pictures=way)


def test_every_storage_gives_the_same_images(record: Record) -> None:
    paths = [record(7), record(4)]
    labels.add_label(paths[0], "trim", [2, 6], "me")
    rows = np.random.default_rng(0).permutation(8)
    memory, *others = (of(paths, way).batch(rows) for way in STORAGES)
    assert memory["images/top"].shape == (8, 2, *SIZE, 3)
    for other in others:
        for camera in ("top", "wrist"):
            np.testing.assert_array_equal(memory[f"images/{camera}"], other[f"images/{camera}"])


def test_a_repeated_image_is_stored_once(record: Record) -> None:
    with Episode(record(10)) as episode:
        part = pictures.open_images("memory", episode, "top", None)
        assert isinstance(part.stack, np.ndarray)
        assert part.stack.shape == (6, 48, 64, 3)  # 30 Hz cameras on a 50 Hz loop
        np.testing.assert_array_equal(part.stack[part.index], episode.images("top"))


def test_rows_before_the_first_image_have_none(tmp_path: Path, spec: BenchSpec, make_step: Callable[..., Step]) -> None:
    writer = EpisodeWriter(tmp_path, spec, EpisodeMeta("demo", "pick_place"))
    for row in range(6):
        writer.append(make_step(row, spec), frozenset({"top"} if row < 2 else ()))
    path = writer.commit(Outcome.SUCCESS)
    with Episode(path) as episode:
        assert [values.tolist() for values in episode.image_index("top")] == [[2, 4, 5], [-1, -1, 0, 0, 1, 2]]
    with pytest.raises(DataError, match="no image of top in row 0"):
        of([path], "memory")
    labels.add_label(path, "trim", [2, 6], "me")
    assert len(of([path], "memory")) == 4


def test_the_cache_is_created_once_per_version_of_a_file(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(5)
    before = of([path], "cache").images["top"][:]
    (kept,) = (path.parent / pictures.CACHE_FOLDER).glob("*.top.*.npy")
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "_decoded", None)
        np.testing.assert_array_equal(of([path], "cache").images["top"][:], before)
    os.utime(path, ns=(0, 0))
    np.testing.assert_array_equal(of([path], "cache").images["top"][:], before)
    (other,) = (path.parent / pictures.CACHE_FOLDER).glob("*.top.*.npy")
    assert other != kept


def test_an_interrupted_cache_is_not_used(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(5)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "resize_area", killed)
        with pytest.raises(KeyboardInterrupt):
            of([path], "cache")
    assert list((path.parent / pictures.CACHE_FOLDER).iterdir()) == []
    assert len(of([path], "cache").images["top"][:]) == 5


@pytest.mark.parametrize("left", [0, 200])
def test_a_cache_truncated_by_a_power_cut_is_recreated(record: Record, left: int) -> None:
    path = record(5)
    before = of([path], "cache").images["top"][:]
    for kept in (path.parent / pictures.CACHE_FOLDER).iterdir():
        kept.write_bytes(kept.read_bytes()[:left])
    np.testing.assert_array_equal(of([path], "cache").images["top"][:], before)


def test_two_threads_can_read_more_files_than_stay_open(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_OPEN", 2)
    monkeypatch.setattr(pictures, "_open", {})
    windows = of([record(2) for _ in range(6)], "files")
    expected = windows.images["top"][:]
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda _: windows.images["top"][:], range(8)):
            np.testing.assert_array_equal(found, expected)


def test_an_unwritable_cache_folder_is_reported(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "CACHE_FOLDER", "taken")
    path = record(2)
    (path.parent / "taken").write_text("")
    with pytest.raises(DataError, match="taken is a file"):
        of([path], "cache")


def first_sum(windows: Windows) -> int:
    return int(windows.batch(np.array([0]))["images/top"].sum())


def test_a_forked_worker_opens_its_own_files(record: Record) -> None:
    windows = of([record(3)], "files")
    expected = first_sum(windows)
    handles = dict(pictures._open)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(first_sum, (windows,)) == expected
    assert handles and pictures._open == handles


def test_the_number_of_open_files_is_limited(record: Record, spec: BenchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_OPEN", 2)
    monkeypatch.setattr(pictures, "_open", {})
    windows = of([record(2, replace(spec)) for _ in range(4)], "files")
    windows.batch(np.arange(8))
    assert len(pictures._open) == 2
