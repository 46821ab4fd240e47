import shutil
import subprocess
from pathlib import Path

import pytest

from ebt_data.files.checksums import NAME, record, recorded, sha256


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no coreutils")
def test_coreutils_can_read_the_list(tmp_path: Path) -> None:
    for name in ("episode_0000.h5", "episode_0001.h5"):
        (tmp_path / name).write_bytes(name.encode())
        record(tmp_path / name, sha256(tmp_path / name))
    subprocess.run(["sha256sum", "--check", "--strict", NAME], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "episode_0001.h5").write_bytes(b"other")
    assert subprocess.run(["sha256sum", "--check", NAME], cwd=tmp_path, capture_output=True, check=False).returncode


def test_the_last_line_for_a_file_counts(tmp_path: Path) -> None:
    record(tmp_path / "a.h5", "1" * 64)
    record(tmp_path / "a.h5", "2" * 64)
    assert recorded(tmp_path) == {"a.h5": "2" * 64}


def test_a_folder_without_a_list_has_no_sums(tmp_path: Path) -> None:
    assert recorded(tmp_path) == {}


def test_a_line_cut_short_by_a_full_disk_does_not_damage_the_next(tmp_path: Path) -> None:
    record(tmp_path / "a.h5", "1" * 64)
    with (tmp_path / NAME).open("a") as file:
        file.write("2" * 20)
    record(tmp_path / "c.h5", "3" * 64)
    found = recorded(tmp_path)
    assert (found["a.h5"], found["c.h5"]) == ("1" * 64, "3" * 64)
