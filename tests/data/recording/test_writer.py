import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.layout.format import TRACE
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.writer import DiskFull, EpisodeWriter, pad_trace, truncate_text
from ebt_data.step import BenchSpec, Event, Outcome, Step

Make = Callable[..., Step]


def test_a_demonstration_has_no_energy(tmp_path: Path, spec: BenchSpec, make_step: Make) -> None:
    writer = EpisodeWriter(tmp_path, spec, EpisodeMeta(kind="demo", task="stack"))
    writer.append(make_step(0, spec))
    with Episode(writer.commit(Outcome.SUCCESS)) as episode:
        assert episode.energy is None
        assert episode.meta == EpisodeMeta(kind="demo", task="stack")


def test_motor_status_is_recorded_by_row(tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta)
    for row in range(7):
        writer.append(make_step(row, spec))
    with Episode(writer.commit(Outcome.SUCCESS)) as episode:
        status = {name: values.tolist() for name, values in episode.motors.items()}
    assert status == {
        "row": [2, 5],
        "joint": [2, 5],
        "temperature": [32.5, 35.5],
        "voltage": pytest.approx([4.98, 4.95]),
        "error": [0, 1],
    }


def test_a_long_event_is_truncated_and_marked(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta)
    writer.append(make_step(0, spec, (Event("note", "ü" * 500),)))
    with Episode(writer.commit(Outcome.SUCCESS)) as episode:
        (event,) = episode.events
    assert event.text.endswith("ü [cut]")
    assert 250 <= len(event.text.encode()) <= 256


def test_text_is_cut_between_characters() -> None:
    assert truncate_text("short", 10) == b"short"
    assert truncate_text("aüüüüüü", 10) == b"a\xc3\xbc [cut]"


def test_a_long_trace_is_thinned_and_keeps_its_ends() -> None:
    row = pad_trace(tuple(range(1000)))
    assert (row.shape, row[0], row[-1]) == ((TRACE,), 0, 999)
    assert (np.diff(row) > 0).all()
    assert np.isnan(pad_trace(())).all()


def test_too_little_space_is_refused_before_a_file_is_made(tmp_path: Path, spec: BenchSpec, meta: EpisodeMeta) -> None:
    with pytest.raises(DiskFull, match="is full"):
        EpisodeWriter(tmp_path, spec, meta, reserve_bytes=1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_does_not_fit_the_bench_is_refused(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    step = make_step(0, spec)
    cases = {
        "no frame from top, wrist": replace(step, observation=replace(step.observation, frames={})),
        r"\(3,\) joints where twin has \(6,\)": replace(step, sent=np.zeros(3, np.float32)),
    }
    writer = EpisodeWriter(tmp_path, spec, meta)
    for message, bad in cases.items():
        with pytest.raises(DataError, match=message):
            writer.append(bad)
    writer.abandon()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_long_episode_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "write_many_rows.py"
    written = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(written.stdout) < 1_000_000  # 5 MB for 5000 rows where HDF5 keeps what it has written
