import fcntl
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ebt_data.layout import attributes
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.repair import repair
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Event, Outcome, Step

SCRIPT = Path(__file__).parents[1] / "record_until_killed.py"
KILLS = int(
    os.environ.get("EBT_KILLS", "4")
)  # `EBT_KILLS=100 pytest tests/data/recording/test_repair.py` for a longer look


@pytest.mark.parametrize("seed", range(KILLS))
def test_sigkill_loses_no_confirmed_row(
    tmp_path: Path, make_step: Callable[..., Step], spec: BenchSpec, seed: int
) -> None:
    chance = random.Random(seed)
    recording = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert recording.stdin is not None and recording.stdout is not None
    writer = int(recording.stdout.readline())
    goal, line = chance.randrange(200), ""
    while not line or int(line.split()[1]) < goal:
        line = recording.stdout.readline()
    # The recorder, the writer, or both in either order: what the kill of a whole session looks like from inside.
    victims = chance.choice([[recording.pid], [writer, recording.pid], [recording.pid, writer]])
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    rest = recording.stdout.read()  # not `communicate`, which passes over what `readline` has read ahead
    recording.stdin.close()
    recording.stdout.close()
    recording.wait()
    appended, kept = (int(word) for word in (line + rest).splitlines()[-1].split())
    wait_for_writer(tmp_path)
    (message,) = repair(tmp_path)
    if kept == 0 and message == "episode_0000.part was cut off before its first row; there was nothing to keep.":
        return
    (path,) = list_episodes(tmp_path)
    with Episode(path) as episode:
        assert kept <= len(episode) <= appended + 1
        assert message == f"{path.name} was cut off; rows kept: {len(episode)}, marked as aborted."
        assert (episode.outcome, episode.complete) == (Outcome.ABORTED, False)
        steps = [make_step(row, spec) for row in range(len(episode))]
        np.testing.assert_array_equal(episode.qpos, [step.observation.position for step in steps])
        np.testing.assert_array_equal(episode.time["tick"], [step.observation.time_s for step in steps])
        assert episode.motors["row"].tolist() == [row for row, step in enumerate(steps) if step.observation.motors]
        for camera in spec.cameras:
            images = [step.observation.frames[camera].image for step in steps]
            assert np.abs(episode.images(camera).astype(int) - images).mean(axis=(1, 2, 3)).max() < 2
        assert episode.verify()
    assert list(tmp_path.glob("*.part")) == []


def wait_for_writer(folder: Path) -> None:
    """Until a writer that outlived its recorder has let its file go."""
    for part in folder.glob("*.part"):
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def test_a_recording_that_a_live_process_writes_is_left_alone_and_can_be_read(
    tmp_path: Path, spec: BenchSpec, make_step: Callable[..., Step], meta: EpisodeMeta
) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta)
    for row in range(3):
        writer.append(make_step(row, spec))
    assert repair(tmp_path) == []
    with Episode(writer.path) as episode:
        assert (len(episode), episode.complete) == (3, False)
    writer.append(make_step(3, spec))
    with Episode(writer.commit(Outcome.SUCCESS)) as episode:
        assert (len(episode), episode.complete) == (4, True)


def test_rows_and_events_that_only_some_datasets_have_are_cut(
    tmp_path: Path, spec: BenchSpec, make_step: Callable[..., Step], meta: EpisodeMeta
) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta)
    for row in range(5):
        writer.append(make_step(row, spec, (Event("note", str(row)),)))
    writer.abandon()
    with h5py.File(writer.path, "r+") as file:
        file["/time/tick"].resize(4, axis=0)
        file["/events/text"].resize(4, axis=0)
    assert repair(tmp_path) == ["episode_0000.h5 was cut off; rows kept: 4, marked as aborted."]
    with Episode(tmp_path / "episode_0000.h5") as episode:
        assert len(episode.qpos) == len(episode) == 4
        assert [event.text for event in episode.events] == ["0", "1", "2", "3"]


def test_unknown_datasets_are_neither_counted_nor_truncated(
    tmp_path: Path, spec: BenchSpec, make_step: Callable[..., Step], meta: EpisodeMeta
) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta)
    for row in range(5):
        writer.append(make_step(row, spec, (Event("note", str(row)),)))
    writer.abandon()
    with h5py.File(writer.path, "r+") as file:
        for name in ("audio", "observations", "images/left", "events", "motors"):
            file[f"{name}/samples"] = np.arange(3)
            file[f"{name}/bytes"] = np.arange(9)
        file["about"] = 1.0
    assert repair(tmp_path) == ["episode_0000.h5 was cut off; rows kept: 5, marked as aborted."]
    with h5py.File(tmp_path / "episode_0000.h5") as file:
        assert [len(file[f"{name}/samples"]) for name in ("audio", "observations", "events", "motors")] == [3] * 4
        assert len(file["images/left/bytes"]) == 9


def test_a_recording_cut_off_before_its_first_row_is_removed(
    tmp_path: Path, spec: BenchSpec, meta: EpisodeMeta
) -> None:
    EpisodeWriter(tmp_path, spec, meta).abandon()
    assert repair(tmp_path) == ["episode_0000.part was cut off before its first row; there was nothing to keep."]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 30, 100, 20_000])
def test_a_partly_written_layout_is_removed(record: Callable[..., Path], size: int) -> None:
    committed = record(1)
    (committed.parent / "unreadable.part").write_bytes(committed.read_bytes()[:size])
    assert repair(committed.parent) == ["unreadable.part was cut off before its first row; there was nothing to keep."]
    assert list_episodes(committed.parent) == [committed]


def test_a_recording_cut_off_within_its_commit_keeps_its_outcome(record: Callable[..., Path]) -> None:
    path = record(3)
    path.rename(path.with_suffix(".part"))  # write-protected already, which only root would not notice
    assert repair(path.parent) == ["episode_0000.h5 was cut off after its last row; it is whole, with 3 rows."]
    assert (Episode(path).outcome, Episode(path).complete, Episode(path).verify()) == (Outcome.SUCCESS, True, True)


def test_an_unrelated_part_file_is_unchanged(tmp_path: Path) -> None:
    stranger = tmp_path / "film.part"
    stranger.write_bytes(b"half a download")
    (message,) = repair(tmp_path)
    assert message == f"{stranger} is not an episode that ebt was recording; it is unchanged"
    assert stranger.read_bytes() == b"half a download"


def test_a_lossless_recording_is_repaired_like_any_other(
    make_step: Callable[..., Step], spec: BenchSpec, meta: EpisodeMeta, tmp_path: Path
) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta, quality=None, reserve_bytes=0)
    for row in range(10):
        writer.append(make_step(row, spec))
    writer.abandon()
    with h5py.File(writer.path, "r+", locking=False) as file:  # what the disk did not take of the last picture
        file["/images/top/bytes"][-4:] = 0
    (message,) = repair(tmp_path)
    assert "rows kept: 9" in message
    with Episode(tmp_path / "episode_0000.h5") as episode:
        for row in range(9):
            shown = make_step(row, spec).observation.frames["top"].image
            np.testing.assert_array_equal(episode.image("top", row), shown)


def test_more_damage_than_a_power_cut_causes_is_not_truncated(cut_off: Path) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        file["/action"][50, 0] += 1  # 250 rows may not have been synced
    (message,) = repair(cut_off.parent)
    assert "row 50 of 300 does not match its checksum; it is unchanged" in message
    with h5py.File(cut_off, "r", locking=False) as file:
        assert len(file["/action"]) == 300


def test_a_finished_recording_that_lost_rows_is_not_a_success(cut_off: Path) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        attributes.set_outcome(file, "success", complete=True)
        file["/observations/qpos"][290:] = 0
    assert "rows kept: 290, marked as aborted" in repair(cut_off.parent)[0]
    with Episode(cut_off.with_suffix(".h5")) as episode:
        assert (episode.outcome, episode.complete, episode.is_eligible()) == (Outcome.ABORTED, False, False)


def test_motors_of_rows_that_the_disk_lost_go_with_them(cut_off: Path, make_step: Callable[..., Step]) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        file["/observations/qpos"][280:] = 0
        for data in file["/motors"].values():
            data[95:] = 0
    assert "rows kept: 280" in repair(cut_off.parent)[0]
    with Episode(cut_off.with_suffix(".h5")) as episode:
        assert episode.motors["row"].tolist() == list(range(2, 280, 3))


def test_invalid_indices_leave_the_file_unchanged(cut_off: Path) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        offsets = file["/images/top/offset"][:].astype(np.float64)
        del file["/images/top/offset"]
        offsets[-1] = np.inf
        file["/images"].create_dataset("top/offset", data=offsets, maxshape=(None,), chunks=True)
    (message,) = repair(cut_off.parent)
    assert message.startswith(f"{cut_off} cannot be repaired") and "Traceback" not in message


def tear(monkeypatch: pytest.MonkeyPatch, path: str, first: int) -> None:
    """As HDF5 reads a dataset whose entries from that one on lie where a unreadable index says."""
    original = h5py.Dataset.__getitem__

    def unreadable(data: h5py.Dataset, selection: Any) -> Any:
        if data.name == path and isinstance(selection, slice) and (selection.stop is None or selection.stop > first):
            raise OSError("incorrect metadata checksum after all read attempts")
        return original(data, selection)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", unreadable)


def test_rows_whose_chunk_cannot_be_found_end_the_recording(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tear(monkeypatch, "/observations/effort", 256)
    (message,) = repair(cut_off.parent)
    assert "rows kept: 256, marked as aborted" in message


def test_pictures_whose_chunk_cannot_be_found_end_the_recording(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(cut_off) as file:
        first = int(file["/images/top/offset"][250])
        rows = int(np.searchsorted(file["/images/top/offset"][:], first))  # the picture's first row
    tear(monkeypatch, "/images/top/bytes", first)
    (message,) = repair(cut_off.parent)
    assert f"rows kept: {rows}, marked as aborted" in message


def test_a_recording_without_a_complete_row_is_not_deleted(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tear(monkeypatch, "/images/top/bytes", 0)
    (message,) = repair(cut_off.parent)
    assert cut_off.exists() and "only 0 of its 300 rows are complete; it is unchanged" in message


def test_synced_rows_are_not_truncated_if_they_are_unreadable(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(cut_off) as file:
        first = int(file["/images/top/offset"][20])
    tear(monkeypatch, "/images/top/bytes", first)
    (message,) = repair(cut_off.parent)
    assert cut_off.exists() and "of its 300 rows are complete; it is unchanged" in message


@pytest.mark.parametrize("path", ["/events/text", "/events/row"])
def test_a_synced_event_is_not_truncated_if_it_is_unreadable(
    path: str,
    make_spec: Callable[..., BenchSpec],
    make_step: Callable[..., Step],
    meta: EpisodeMeta,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = make_spec(lockstep=False)
    writer = EpisodeWriter(tmp_path, spec, meta, reserve_bytes=0)
    for row in range(300):
        writer.append(make_step(row, spec, (Event("mark", "here"),) if row == 10 else ()))
    writer.abandon()
    tear(monkeypatch, path, 0)
    (message,) = repair(tmp_path)
    assert writer.path.exists() and "row 10 of 300 does not match its checksum; it is unchanged" in message
