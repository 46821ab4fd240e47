"""Pictures are the same wherever they are kept, each once, and no handle outlives a fork."""

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
WAYS: tuple[pictures.Way, ...] = ("memory", "cache", "files")
SIZE = (24, 32)


def of(paths: list[Path], way: pictures.Way) -> Windows:
    return Windows(paths, history=2, horizon=1, image_size=SIZE, pictures=way)


def test_every_way_gives_the_same_pictures(record: Record) -> None:
    paths = [record(7), record(4)]
    labels.add_label(paths[0], "trim", [2, 6], "me")
    rows = np.random.default_rng(0).permutation(8)
    memory, *others = (of(paths, way).batch(rows) for way in WAYS)
    assert memory["images/top"].shape == (8, 2, *SIZE, 3)
    for other in others:
        for camera in ("top", "wrist"):
            np.testing.assert_array_equal(memory[f"images/{camera}"], other[f"images/{camera}"])


def test_a_repeated_picture_is_kept_once(record: Record) -> None:
    with Episode(record(10)) as episode:
        part = pictures.read("memory", episode, "top", None)
        assert isinstance(part.stack, np.ndarray)
        assert part.stack.shape == (6, 48, 64, 3)  # 30 Hz cameras on a 50 Hz loop
        np.testing.assert_array_equal(part.stack[part.place], episode.images("top"))


def test_rows_before_the_first_picture_show_none(
    tmp_path: Path, spec: BenchSpec, make_step: Callable[..., Step]
) -> None:
    writer = EpisodeWriter(tmp_path, spec, EpisodeMeta("demo", "pick_place"))
    for row in range(6):
        writer.append(make_step(row, spec), frozenset({"top"} if row < 2 else ()))
    path = writer.commit(Outcome.SUCCESS)
    with Episode(path) as episode:
        assert [values.tolist() for values in episode.shown("top")] == [[2, 4, 5], [-1, -1, 0, 0, 1, 2]]
    with pytest.raises(DataError, match="no picture of top in row 0"):
        of([path], "memory")
    labels.add_label(path, "trim", [2, 6], "me")
    assert len(of([path], "memory")) == 4


def test_the_cache_is_made_once_and_anew_for_another_file(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(5)
    before = of([path], "cache").images["top"][:]
    (kept,) = (path.parent / pictures.FOLDER).glob("*.top.*.npy")
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "_decoded", None)
        np.testing.assert_array_equal(of([path], "cache").images["top"][:], before)
    os.utime(path, ns=(0, 0))
    np.testing.assert_array_equal(of([path], "cache").images["top"][:], before)
    (other,) = (path.parent / pictures.FOLDER).glob("*.top.*.npy")
    assert other != kept


def test_a_cache_that_was_cut_off_is_not_taken(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(5)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "shrink", killed)
        with pytest.raises(KeyboardInterrupt):
            of([path], "cache")
    assert list((path.parent / pictures.FOLDER).iterdir()) == []
    assert len(of([path], "cache").images["top"][:]) == 5


@pytest.mark.parametrize("left", [0, 200])
def test_a_cache_that_a_power_cut_emptied_is_made_anew(record: Record, left: int) -> None:
    path = record(5)
    before = of([path], "cache").images["top"][:]
    for kept in (path.parent / pictures.FOLDER).iterdir():
        kept.write_bytes(kept.read_bytes()[:left])
    np.testing.assert_array_equal(of([path], "cache").images["top"][:], before)


def test_two_threads_may_read_more_files_than_stay_open(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "OPEN", 2)
    monkeypatch.setattr(pictures, "_open", {})
    windows = of([record(2) for _ in range(6)], "files")
    expected = windows.images["top"][:]
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda _: windows.images["top"][:], range(8)):
            np.testing.assert_array_equal(found, expected)


def test_a_folder_that_cannot_be_written_is_said(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "FOLDER", "taken")
    path = record(2)
    (path.parent / "taken").write_text("")
    with pytest.raises(DataError, match="taken is a file"):
        of([path], "cache")


def first_sum(windows: Windows) -> int:
    return int(windows.batch(np.array([0]))["images/top"].sum())


def test_a_forked_worker_opens_files_of_its_own(record: Record) -> None:
    windows = of([record(3)], "files")
    expected = first_sum(windows)
    handles = dict(pictures._open)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(first_sum, (windows,)) == expected
    assert handles and pictures._open == handles


def test_only_so_many_files_stay_open(record: Record, spec: BenchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "OPEN", 2)
    monkeypatch.setattr(pictures, "_open", {})
    windows = of([record(2, replace(spec)) for _ in range(4)], "files")
    windows.batch(np.arange(8))
    assert len(pictures._open) == 2
