"""Fixtures that record which files are read in a child process first."""

from pathlib import Path

import pytest

from ebt_data.reading import sandbox


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the files that were read in a child; no file is trusted at first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sandbox, "_trusted", set())
    monkeypatch.setattr(sandbox, "_loaded_bytes", -1)
    names: list[str] = []
    original = sandbox._read_in_child
    monkeypatch.setattr(sandbox, "_read_in_child", lambda path: (names.append(path.name), original(path)))
    return names


def foreign(path: Path, name: str = "foreign.h5") -> Path:
    """A copy of the file without its checksum, as if it came from another user."""
    copy = path.with_name(name)
    copy.write_bytes(path.read_bytes())
    return copy
