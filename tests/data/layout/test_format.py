"""Valid dataset names, and groups that are absent or partly written."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, CameraSpec, Step
from tests.data.conftest import copy_to_edit

Make = Callable[..., Step]


def test_a_file_without_motor_status_is_read(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(5))
    with h5py.File(path, "r+") as file:
        del file["motors"]
    with Episode(path) as episode:
        assert {name: len(values) for name, values in episode.motors.items()} == {
            "row": 0, "joint": 0, "temperature": 0, "voltage": 0, "error": 0,
        }  # fmt: skip


def test_a_partly_written_motor_status_is_ignored(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(9))
    with h5py.File(path, "r+") as file:
        file["motors/row"].resize(2, axis=0)
        file["motors/error"].resize(4, axis=0)
    with Episode(path) as episode:
        assert episode.motors["row"].tolist() == [2, 5]
        assert {len(values) for values in episode.motors.values()} == {2}


@pytest.mark.parametrize("name", ["../x", "tick", "", "a//b", "."])
def test_a_camera_name_that_cannot_be_a_path_is_refused(
    tmp_path: Path, spec: BenchSpec, make_step: Make, meta: EpisodeMeta, name: str
) -> None:
    step = make_step(0, spec)
    step = replace(step, observation=replace(step.observation, frames={name: step.observation.frames["top"]}))
    writer = EpisodeWriter(tmp_path, replace(spec, cameras={name: CameraSpec(48, 64, 30.0)}), meta)
    with pytest.raises(DataError, match="cannot name a camera"):
        writer.append(step)
    writer.abandon()
