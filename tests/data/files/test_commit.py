import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ebt_data.files import commit


def test_two_recorders_of_one_folder_get_different_names(tmp_path: Path) -> None:
    reserved = [commit.reserve(tmp_path) for _ in range(2)]
    assert [path.name for path, _ in reserved] == ["episode_0000.part", "episode_0001.part"]
    for _, handle in reserved:
        os.close(handle)


def test_a_directory_entry_is_synced_before_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(commit, "sync", synced.append)
    _, handle = commit.reserve(tmp_path)
    os.close(handle)
    assert synced == [tmp_path]


def test_unrelated_file_names_do_not_affect_numbering(tmp_path: Path) -> None:
    for name in ("episode_x.h5", "take 7.h5", "episode_0041.h5", "episode_0050.txt"):
        (tmp_path / name).write_text("")
    path, handle = commit.reserve(tmp_path)
    os.close(handle)
    assert path.name == "episode_0042.part"


def test_discarded_episodes_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    names = []
    for text in ("first", "second"):
        (tmp_path / "episode_0000.part").write_text(text)
        names.append(commit.discard(tmp_path / "episode_0000.part").name)
    assert names == ["episode_0000.h5", "episode_0000.1.h5"]
    assert (tmp_path / ".trash" / names[0]).read_text() == "first"


def test_the_list_of_hashes_is_read_by_sha256sum(record: Callable[..., Path]) -> None:
    path = record(1)
    (line,) = (path.parent / "SHA256SUMS").read_text().splitlines()
    digest, name = line.split("  ")
    assert (len(digest), name) == (64, path.name)
