"""Untrusted files are read in a child process first, each once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading import sandbox
from ebt_data.reading.episode import Episode
from ebt_data.reading.sandbox import ReaderError
from ebt_data.recording.repair import repair
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Step
from tests.data.reading.conftest import foreign

Record = Callable[..., Path]


def test_own_recordings_are_not_tried_and_others_are_tried_once(record: Record, tried: list[str]) -> None:
    own = record(3)
    other = foreign(own)
    for _ in range(2):
        Episode(own).close()
        Episode(other).close()
    assert tried == ["foreign.h5"]


def test_a_moved_file_stays_trusted_and_a_changed_one_does_not(record: Record, tried: list[str]) -> None:
    path = foreign(record(3))
    Episode(path).close()
    moved = path.rename(path.with_name("moved.h5"))
    Episode(moved).close()
    assert tried == ["foreign.h5"]
    os.utime(moved, ns=(1, 1))
    Episode(moved).close()
    assert tried == ["foreign.h5", "moved.h5"]


def test_trusted_files_are_shared_between_processes(record: Record, tried: list[str]) -> None:
    path = foreign(record(3))
    Episode(path).close()
    script = f"import ebt_data.reading.sandbox as g; from pathlib import Path; g._read_in_child = None; g.check(Path({str(path)!r}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def stopped_reader() -> subprocess.Popen[bytes]:
    """A stopped child, like one that reads a file without end."""
    reader = sandbox._reader()
    reader.send_signal(signal.SIGSTOP)
    return reader


def test_a_reader_that_has_ended_is_restarted(record: Record, tried: list[str]) -> None:
    reader = sandbox._reader()
    reader.kill()
    reader.wait()
    Episode(foreign(record(3))).close()


def test_a_file_that_kills_its_reader_is_damaged_and_the_next_is_still_read(record: Record, tried: list[str]) -> None:
    path = foreign(record(3))
    reader = stopped_reader()
    threading.Timer(0.1, reader.kill).start()
    with pytest.raises(DataError, match="reading it ends a process with SIGKILL"):
        Episode(path)
    Episode(path).close()
    assert tried == ["foreign.h5"] * 2


def test_a_file_that_takes_too_long_is_an_error(
    record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(record(3))
    stopped_reader()
    monkeypatch.setattr(sandbox, "BASE_LIMIT_S", 0.1)
    with pytest.raises(DataError, match="reading it takes more than 0 s"):
        Episode(path)
    monkeypatch.setattr(sandbox, "BASE_LIMIT_S", 20.0)
    Episode(path).close()


def test_a_late_reply_is_not_used_for_the_next_file(
    record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(record(3))
    bad = path.with_name("bad.h5")
    bad.write_bytes(b"junk")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sandbox.select, "select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Episode(path)
    with pytest.raises(DataError, match="not a readable HDF5 file"):
        Episode(bad)


def test_a_changed_working_directory_does_not_matter(
    record: Record, tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(record(3))
    sandbox._reader()
    monkeypatch.chdir(path.parent)
    Episode(Path(path.name)).close()


def test_a_repaired_file_is_not_trusted(record: Record, tried: list[str]) -> None:
    path = foreign(record(3)).rename(record(3).with_name("evil.part"))
    assert len(repair(path.parent)) == 1
    Episode(path.with_suffix(".h5")).close()
    assert tried == ["evil.h5"]


def test_an_interrupted_recording_is_tried_before_it_is_modified(
    record: Record, tried: list[str], make_step: Callable[..., Step], spec: BenchSpec, meta: EpisodeMeta
) -> None:
    ours = record(3).parent
    writer = EpisodeWriter(ours, spec, meta, reserve_bytes=0)
    for row in range(5):
        writer.append(make_step(row, spec))
    writer.abandon()
    with h5py.File(writer.path, "r+", locking=False) as file:  # a row that is missing in one dataset
        file["/action"].resize(4, axis=0)
    part = foreign(writer.path, "evil.part")
    writer.path.unlink()
    reader = stopped_reader()
    threading.Timer(0.1, reader.kill).start()
    (message,) = repair(part.parent)
    assert message == f"{part} is damaged: reading it ends a process with SIGKILL"
    with h5py.File(part, "r", locking=False) as file:
        assert (len(file["/action"]), len(file["/time/tick"])) == (4, 5), "nothing was cut"
    assert repair(part.parent) == ["evil.h5 was cut off; rows kept: 4, marked as aborted."]


def test_damage_in_an_interrupted_recording_does_not_block(record: Record, tried: list[str]) -> None:
    part = foreign(record(3), "evil.part")
    content = bytearray(part.read_bytes())
    content[content.index(b"OHDR") + 20] ^= 1  # a checksum that does not fit, as while it is being written
    part.write_bytes(content)
    began_s = time.monotonic()
    (message,) = repair(part.parent)
    assert message.startswith(f"{part} cannot be repaired")
    assert time.monotonic() - began_s < 5


def test_a_reply_about_another_file_is_a_bug(record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = foreign(record(3))
    reader = sandbox._reader()
    assert reader.stdin is not None
    reader.stdin.write(b'["/elsewhere.h5", 9]\n')
    reader.stdin.flush()
    with pytest.raises(ReaderError, match=r"replied about /elsewhere\.h5"):
        Episode(path)
    Episode(path).close()


def test_without_a_writable_cache_a_file_is_tried_and_read(
    record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = foreign(record(3))
    Episode(path).close()
    Episode(path).close()
    assert tried == ["foreign.h5"]
