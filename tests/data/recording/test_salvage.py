"""Episodes whose writer died are finished with the rows that the recorder still has."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.recorder import Recorder
from ebt_data.recording.repair import repair
from ebt_data.step import BenchSpec, Outcome, Step
from tests.data.recording.conftest import assert_row_equals

Make = Callable[..., Step]


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_writer_is_reported_at_once_and_its_rows_are_kept(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta, seed: int
) -> None:
    last = int(np.random.default_rng(seed).integers(70, 200))
    steps = [make_step(row, spec) for row in range(last + 100)]
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        with pytest.raises(DataError, match=r"killed by SIGKILL \(rows kept of episode_0000: \d+\)"):
            for row, step in enumerate(steps):
                recorder.append(step)
                if row == last and recorder.writer_pid is not None:
                    os.kill(recorder.writer_pid, signal.SIGKILL)
        kept = recorder.kept
        path = recorder.finish(Outcome.SUCCESS)
        with Episode(path) as episode:
            assert kept <= len(episode) == recorder.appended  # the recorder still had what the writer had not written
            assert (episode.outcome, episode.complete) == (Outcome.ABORTED, False)
            for row in (0, last, last + 1, len(episode) - 1):
                assert_row_equals(episode, row, steps[row])
        assert recorder.start(meta).name == "episode_0001.h5"  # a new process goes on
        recorder.append(make_step(0, spec))
        recorder.finish(Outcome.SUCCESS)
    assert list(tmp_path.glob("*.part")) == []


def test_a_writer_that_dies_between_commit_and_reply_loses_nothing(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        path = recorder.start(meta)
        recorder.append(make_step(0, spec))
        while not recorder.kept:
            recorder.append(make_step(recorder.appended, spec))
        pid = recorder.writer_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        repair(tmp_path)  # stands for the writer's own commit
        with pytest.raises(DataError, match=r"killed by SIGKILL \(rows kept of episode_0000: \d+\)"):
            recorder.finish(Outcome.SUCCESS)
    assert list_episodes(tmp_path) == [path]


def wait_for_end(pid: int) -> None:
    """Until a child of this process has ended, which is left for others to reap."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_write_that_fails_keeps_all_earlier_rows(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta
) -> None:
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux sets another process's limits")
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        resource.prlimit(recorder.writer_pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with pytest.raises(
            DataError, match=r"cannot write to episode_0000 \(File too large\) \(rows kept of episode_0000: \d+\)"
        ):
            for row in range(10**9):
                recorder.append(make_step(row % 250, spec))
        kept = recorder.kept
        path = recorder.finish(Outcome.SUCCESS)
    episode = Episode(path)
    assert 50 < kept <= len(episode) <= kept + 1
    for row in (0, len(episode) - 1):
        assert_row_equals(episode, row, make_step(row % 250, spec))
    assert len(episode.images("wrist")) == len(episode)
    assert episode.outcome is Outcome.ABORTED
    assert repair(tmp_path) == []
