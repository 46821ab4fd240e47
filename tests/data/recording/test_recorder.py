import fcntl
import json
import os
import pickle
import signal
import socket
import termios
import threading
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError, MisuseError
from ebt_data.files import checksums
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording import ipc, writer
from ebt_data.recording.recorder import Recorder
from ebt_data.recording.repair import repair
from ebt_data.recording.writer_main import WriterServer
from ebt_data.step import BenchSpec, Event, Outcome, Step
from tests.data.recording.conftest import assert_row_equals

Make = Callable[..., Step]


def test_every_field_of_every_row_comes_back(
    tmp_path: Path, make_spec: Callable[..., BenchSpec], make_step: Make, meta: EpisodeMeta
) -> None:
    spec = make_spec(depth=True)
    steps = [make_step(row, spec) for row in range(20)]
    steps[5] = replace(steps[5], events=(Event("note", "größer"), Event("rise")))
    with Recorder(tmp_path / "new", spec) as recorder:
        promised = recorder.start(meta)
        for step in steps:
            recorder.append(step)
        path = recorder.finish(Outcome.SUCCESS)
    assert path == promised
    with Episode(path) as episode:
        assert (episode.spec, episode.meta) == (spec, meta)
        assert (episode.outcome, episode.complete, len(episode)) == (Outcome.SUCCESS, True, 20)
        for row, step in enumerate(steps):
            assert_row_equals(episode, row, step)
        assert [(event.row, event.kind, event.text) for event in episode.events] == [
            (5, "note", "größer"),
            (5, "rise", ""),
        ]
        assert episode.events[0].time_s == steps[5].observation.time_s
        assert episode.attrs["color_space"] == "RGB"
        assert episode.verify()


def test_one_recorder_records_several_episodes_and_drops_a_discarded_one(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        for outcome in (Outcome.SUCCESS, None, Outcome.FAILURE):
            recorder.start(meta)
            recorder.append(make_step(0, spec))
            if outcome is None:
                recorder.discard()
            else:
                recorder.finish(outcome)
    paths = list_episodes(tmp_path)
    assert [path.name for path in paths] == ["episode_0000.h5", "episode_0001.h5"]
    assert [Episode(path).outcome for path in paths] == [Outcome.SUCCESS, Outcome.FAILURE]
    assert [path.name for path in (tmp_path / ".trash").iterdir()] == ["episode_0001.h5"]


def test_a_committed_episode_is_read_only_and_its_number_is_never_used_again(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        recorder.append(make_step(0, spec))
        first = recorder.finish(Outcome.SUCCESS)
        assert first.stat().st_mode & 0o777 == 0o444
        assert checksums.recorded(tmp_path) == {first.name: checksums.sha256(first)}
        first.unlink()
        assert recorder.start(meta).name == "episode_0001.h5"
        recorder.discard()


def test_the_next_episode_does_not_wait_for_the_one_before_to_be_sealed(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, commit = threading.Event(), writer.commit.commit
    monkeypatch.setattr(writer.commit, "commit", lambda part, **how: commit(part, **how) if go.wait(60) else part)
    (receiver, asks), (answers, answer) = socket.socketpair(), os.pipe()
    with (
        receiver,
        asks,
        os.fdopen(answers) as reply_lines,
        os.fdopen(answer, "wb") as reply_pipe,
    ):
        served = threading.Thread(target=WriterServer(tmp_path, spec, 95, 0, reply_pipe).serve, args=(receiver,))
        served.start()
        for message in (("start", meta), ("row", make_step(0, spec), frozenset()), ("finish", Outcome.SUCCESS)) * 2:
            with ipc.temporary_file() as file:
                ipc.send(asks, message, file)
        kinds = [next(iter(json.loads(reply_lines.readline()))) for _ in range(6)]
        assert kinds == ["started", "kept", "ended"] * 2
        assert list_episodes(tmp_path) == []
        go.set()
        assert [json.loads(reply_lines.readline()) for _ in range(2)] == [
            {"sealed": str(tmp_path / f"episode_000{number}.part")} for number in range(2)
        ]
        asks.close()
        served.join()
    assert [Episode(path).verify() for path in list_episodes(tmp_path)] == [True, True]


def test_an_episode_sealed_before_the_reply_is_read_is_not_waited_for(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        part = str(recorder.start(meta).with_suffix(".part"))
        recorder.append(make_step(0, spec))
        while recorder.kept == 0:
            recorder._read_replies(1.0)
        answer, process = recorder._await_reply, recorder._process
        assert process is not None

        def late(key: str) -> str:
            both = len(json.dumps({"ended": part}) + json.dumps({"sealed": part})) + 2
            while array("i", fcntl.ioctl(process._replies, termios.FIONREAD, bytes(4)))[0] < both:
                pass
            return answer(key)

        monkeypatch.setattr(recorder, "_await_reply", late)
        assert recorder.finish(Outcome.SUCCESS).exists()


def test_leaving_waits_until_everything_is_sealed(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        for row in range(3):
            recorder.start(meta)
            recorder.append(make_step(row, spec))
            recorder.finish(Outcome.SUCCESS, 0.0)
    assert [Episode(path).verify() for path in list_episodes(tmp_path)] == [True] * 3


def test_a_writer_that_dies_while_it_seals_leaves_whole_episodes(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        recorder.append(make_step(0, spec))
        path = recorder.finish(Outcome.SUCCESS, 0.0)
        assert recorder.writer_pid is not None
        os.kill(recorder.writer_pid, signal.SIGKILL)
        recorder.wait_sealed()
    with Episode(path) as episode:
        assert (episode.outcome, episode.complete, len(episode)) == (Outcome.SUCCESS, True, 1)


def test_leaving_during_an_episode_commits_it_as_aborted(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        recorder.append(make_step(0, spec))
        raise ZeroDivisionError
    (path,) = list_episodes(tmp_path)
    assert (Episode(path).outcome, len(Episode(path))) == (Outcome.ABORTED, 1)


def test_calls_out_of_order_and_empty_episodes_are_refused(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        with pytest.raises(MisuseError, match="call start first"):
            recorder.append(make_step(0, spec))
        recorder.start(meta)
        with pytest.raises(MisuseError, match="finish or discard it first"):
            recorder.start(meta)
        with pytest.raises(DataError, match="no rows"):
            recorder.finish(Outcome.SUCCESS)
        recorder.start(meta)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, spec: BenchSpec, meta: EpisodeMeta) -> None:
    (tmp_path / "file").write_text("")
    with Recorder(tmp_path / "file", spec) as recorder, pytest.raises(DataError, match=r"cannot record into .*file"):
        recorder.start(meta)


def stop(recorder: Recorder) -> int:
    """Stop the writer process, as a disk does that takes nothing; returns its id."""
    pid = recorder.writer_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    return pid


def test_a_real_time_overload_drops_frames_but_never_rows(
    tmp_path: Path, make_spec: Callable[..., BenchSpec], make_step: Make, meta: EpisodeMeta
) -> None:
    spec = make_spec(lockstep=False)
    steps = [make_step(row, spec) for row in range(150)]
    with Recorder(tmp_path, spec, frame_bytes=4 * 48 * 64 * 3) as recorder:
        recorder.start(meta)
        for row, step in enumerate(steps):
            if row == 20:
                pid = stop(recorder)
            if row == 80:
                os.kill(pid, signal.SIGCONT)
            recorder.append(step)
        path = recorder.finish(Outcome.SUCCESS)
        dropped = dict(recorder.dropped)
    episode = Episode(path)
    np.testing.assert_array_equal(episode.qpos, [step.observation.position for step in steps])
    for camera, count in dropped.items():
        times = episode.camera_time(camera)
        assert times["dropped"].sum() == count >= 20
        assert times["repeated"][times["dropped"]].all()
        gap = np.flatnonzero(times["dropped"])[0]
        # The row describes the image that it refers to: the last one before the gap, whose age increases.
        assert times["number"][gap] == times["number"][gap - 1]
        assert times["age"][gap] > times["age"][gap - 1]
        np.testing.assert_array_equal(episode.image(camera, gap), episode.image(camera, gap - 1))
    assert sorted(dropped) == ["top", "wrist"]
    assert {event.kind for event in episode.events} == {"gap"}


def test_a_stall_ends_the_episode_and_keeps_what_came_before(
    tmp_path: Path, make_spec: Callable[..., BenchSpec], make_step: Make, meta: EpisodeMeta
) -> None:
    spec = make_spec(lockstep=False)
    with Recorder(tmp_path, spec, stall_s=0.0) as recorder:
        recorder.start(meta)
        pid = stop(recorder)
        recorder.append(make_step(0, spec))
        with pytest.raises(DataError, match=r"no row for 0 s \(rows kept of episode_0000: \d+\)"):
            recorder.append(make_step(1, spec))
        os.kill(pid, signal.SIGCONT)
        path = recorder.finish(Outcome.SUCCESS)
    assert len(Episode(path)) == 2  # the disk came back


def test_a_disk_that_runs_full_ends_the_episode_with_every_row_kept(
    small_disk: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(small_disk, spec, reserve_bytes=3 << 20) as recorder:
        recorder.start(meta)
        with pytest.raises(DataError, match=r"disk of .* is full \(rows kept of episode_0000: \d+\)"):
            for row in range(10**9):
                recorder.append(make_step(row % 250, spec))
        path = recorder.finish(Outcome.SUCCESS)
        with Episode(path) as episode:
            assert (len(episode), episode.outcome, episode.complete) == (recorder.kept, Outcome.ABORTED, True)
            assert len(episode) > 100
        with pytest.raises(DataError, match="is full"):
            recorder.start(meta)


def test_an_episode_that_cannot_be_committed_is_complete_after_repair(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        path = recorder.start(meta)
        for row in range(20):
            recorder.append(make_step(row, spec))
        (tmp_path / checksums.NAME).mkdir()  # stands for a disk without room for another line
        with pytest.raises(DataError, match="episode_0000 is complete, but cannot be committed"):
            recorder.finish(Outcome.SUCCESS)
    (tmp_path / checksums.NAME).rmdir()
    assert repair(tmp_path) == ["episode_0000.h5 was cut off after its last row; it is whole, with 20 rows."]
    with Episode(path) as episode:
        assert (episode.outcome, episode.complete, episode.verify()) == (Outcome.SUCCESS, True, True)


def test_a_frame_of_the_wrong_size_is_refused_and_the_rows_before_are_kept(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    step = make_step(1, spec)
    frame = replace(step.observation.frames["top"], image=np.zeros((10, 10, 3), np.uint8), number=77)
    bad = replace(step, observation=replace(step.observation, frames={**step.observation.frames, "top": frame}))
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        recorder.append(make_step(0, spec))
        recorder.append(bad)
        with pytest.raises(
            DataError, match=r"camera top returned \(10, 10, 3\) uint8, .* \(rows kept of episode_0000: 1\)"
        ):
            recorder.finish(Outcome.SUCCESS)
    (path,) = list_episodes(tmp_path)
    assert (len(Episode(path)), Episode(path).outcome) == (1, Outcome.ABORTED)


def test_an_open_episode_can_be_pickled(record: Callable[..., Path]) -> None:
    episode = Episode(record(3))
    twin = pickle.loads(pickle.dumps(episode))
    np.testing.assert_array_equal(twin.qpos, episode.qpos)
