"""Files are tried in a child before they are read, each once."""

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
from ebt_data.reading.sandbox import ReaderBug
from ebt_data.recording.repair import repair
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Step
from tests.data.reading.conftest import foreign

Record = Callable[..., Path]


def test_what_was_recorded_here_is_not_tried_and_what_was_not_is_tried_once(record: Record, tried: list[str]) -> None:
    own = record(3)
    other = foreign(own)
    for _ in range(2):
        Episode(own).close()
        Episode(other).close()
    assert tried == ["foreign.h5"]


def test_a_moved_file_is_known_and_a_changed_one_is_not(record: Record, tried: list[str]) -> None:
    path = foreign(record(3))
    Episode(path).close()
    moved = path.rename(path.with_name("moved.h5"))
    Episode(moved).close()
    assert tried == ["foreign.h5"]
    os.utime(moved, ns=(1, 1))
    Episode(moved).close()
    assert tried == ["foreign.h5", "moved.h5"]


def test_another_process_knows_what_this_one_has_tried(record: Record, tried: list[str]) -> None:
    path = foreign(record(3))
    Episode(path).close()
    script = (
        f"import ebt_data.reading.sandbox as g; from pathlib import Path; g._try = None; g.check(Path({str(path)!r}))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def stopped_reader() -> subprocess.Popen[bytes]:
    """A child that stands still, as one does that a file keeps busy for ever."""
    reader = sandbox._reader()
    reader.send_signal(signal.SIGSTOP)
    return reader


def test_a_reader_that_has_ended_is_started_anew(record: Record, tried: list[str]) -> None:
    reader = sandbox._reader()
    reader.kill()
    reader.wait()
    Episode(foreign(record(3))).close()


def test_a_file_that_kills_its_reader_is_damaged_and_the_next_is_read_all_the_same(
    record: Record, tried: list[str]
) -> None:
    path = foreign(record(3))
    reader = stopped_reader()
    threading.Timer(0.1, reader.kill).start()
    with pytest.raises(DataError, match="reading it ends a process with SIGKILL"):
        Episode(path)
    Episode(path).close()
    assert tried == ["foreign.h5"] * 2


def test_a_file_that_takes_for_ever_is_given_up(
    record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(record(3))
    stopped_reader()
    monkeypatch.setattr(sandbox, "LONGEST_S", 0.1)
    with pytest.raises(DataError, match="reading it takes more than 0 s"):
        Episode(path)
    monkeypatch.setattr(sandbox, "LONGEST_S", 20.0)
    Episode(path).close()


def test_an_answer_that_nobody_waited_for_is_not_given_to_the_next_file(
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


def test_another_folder_to_work_in_changes_nothing(
    record: Record, tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(record(3))
    sandbox._reader()
    monkeypatch.chdir(path.parent)
    Episode(Path(path.name)).close()


def test_what_was_only_repaired_is_not_taken_for_ours(record: Record, tried: list[str]) -> None:
    path = foreign(record(3)).rename(record(3).with_name("evil.part"))
    assert len(repair(path.parent)) == 1
    Episode(path.with_suffix(".h5")).close()
    assert tried == ["evil.h5"]


def test_a_cut_off_recording_is_tried_before_its_rows_are_written_to(
    record: Record, tried: list[str], make_step: Callable[..., Step], spec: BenchSpec, meta: EpisodeMeta
) -> None:
    ours = record(3).parent
    writer = EpisodeWriter(ours, spec, meta, reserve_bytes=0)
    for row in range(5):
        writer.append(make_step(row, spec))
    writer.leave()
    with h5py.File(writer.path, "r+", locking=False) as file:  # a row that never got as far as the others
        file["/action"].resize(4, axis=0)
    part = foreign(writer.path, "evil.part")
    writer.path.unlink()
    reader = stopped_reader()
    threading.Timer(0.1, reader.kill).start()
    (said,) = repair(part.parent)
    assert said == f"{part} is damaged: reading it ends a process with SIGKILL"
    with h5py.File(part, "r", locking=False) as file:
        assert (len(file["/action"]), len(file["/time/tick"])) == (4, 5), "nothing was cut"
    assert repair(part.parent) == ["evil.h5 was cut off; rows kept: 4, marked as aborted."]


def test_damage_in_a_cut_off_recording_is_not_waited_for(record: Record, tried: list[str]) -> None:
    part = foreign(record(3), "evil.part")
    content = bytearray(part.read_bytes())
    content[content.index(b"OHDR") + 20] ^= 1  # a checksum that does not fit, as while it is being written
    part.write_bytes(content)
    began_s = time.monotonic()
    (said,) = repair(part.parent)
    assert said.startswith(f"{part} cannot be repaired")
    assert time.monotonic() - began_s < 5


def test_an_answer_about_another_file_is_a_bug(
    record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(record(3))
    reader = sandbox._reader()
    assert reader.stdin is not None
    reader.stdin.write(b'["/elsewhere.h5", 9]\n')
    reader.stdin.flush()
    with pytest.raises(ReaderBug, match=r"answers about /elsewhere\.h5"):
        Episode(path)
    Episode(path).close()


def test_without_a_place_to_remember_it_is_tried_and_read(
    record: Record, tried: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = foreign(record(3))
    Episode(path).close()
    Episode(path).close()
    assert tried == ["foreign.h5"]
