import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebt_data.errors import DataError
from ebt_data.files.atomic_files import make_folder, prepare_folder, write_atomic


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow further, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_leaves_only_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_atomic(path, "old")
    with largest_file(100), pytest.raises(DataError, match=r"cannot write .*calibration\.json: File too large"):
        write_atomic(path, "new" * 100)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot create the folder .*: .*file is a file"):
        make_folder(tmp_path / "file" / "run")


def test_a_full_disk_is_detected_before_a_session_starts(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b", 0, "recording")
    with pytest.raises(DataError, match="recording needs 1000000000 MB in"):
        prepare_folder(tmp_path, 1e9, "recording")


def test_an_existing_link_is_not_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("before")
    (tmp_path / "file.new").symlink_to(mine)
    write_atomic(tmp_path / "file", "after")
    assert (mine.read_text(), (tmp_path / "file").read_text()) == ("before", "after")
