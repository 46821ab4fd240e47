"""The recorder's end of the writer process."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.recording.writer_process import WriterDied, WriterProcess
from ebt_data.step import BenchSpec, Outcome, Step

Make = Callable[..., Step]


def test_ctrl_c_does_not_reach_the_writer(tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(meta)
        pid = recorder.writer_pid
        assert pid is not None and os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, signal.SIGINT)
        recorder.append(make_step(0, spec))
        assert recorder.finish(Outcome.SUCCESS).exists()


def test_a_killed_child_is_reported_with_its_signal(tmp_path: Path, spec: BenchSpec) -> None:
    process = WriterProcess(tmp_path, spec, 95, 0)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(WriterDied, match="the writer process was killed by SIGKILL") as caught:
        while process.has_replied(10.0):
            process.replies()
    assert caught.value.killed
    assert not process.running()
    process.close()
