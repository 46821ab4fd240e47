"""Files whose trial in a child is watched."""

from pathlib import Path

import pytest

from ebt_data.reading import sandbox


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the files that were tried, with nothing known yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sandbox, "_known", set())
    monkeypatch.setattr(sandbox, "_loaded_bytes", -1)
    names: list[str] = []
    original = sandbox._try
    monkeypatch.setattr(sandbox, "_try", lambda path: (names.append(path.name), original(path)))
    return names


def foreign(path: Path, name: str = "foreign.h5") -> Path:
    """The same file as somebody else would send it: without its sum."""
    copy = path.with_name(name)
    copy.write_bytes(path.read_bytes())
    return copy
