"""Which files are opened, which are rejected, and which are read in a child first."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ebt_data.errors import DataError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import BenchSpec, Outcome, Step
from tests.data.conftest import copy_to_edit, message_of
from tests.data.reading.conftest import foreign


def test_a_missing_file_is_reported_as_missing(tmp_path: Path) -> None:
    assert message_of(tmp_path / "a.h5") == f"there is no episode {tmp_path / 'a.h5'}"
    with pytest.raises(DataError, match="there is no folder"):
        list_episodes(tmp_path / "none")


@pytest.mark.parametrize(
    "content", [b"", b"not hdf5", random.Random(0).randbytes(5000)], ids=["empty", "text", "random"]
)
def test_a_file_that_is_not_hdf5_is_rejected_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    assert message_of(path).startswith(f"{path} is not a readable HDF5 file: ")
    assert "\n" not in message_of(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_copy_is_rejected_in_one_sentence(record: Callable[..., Path], share: float) -> None:
    path = copy_to_edit(record(5))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert message_of(path).startswith(f"{path} is not a readable HDF5 file: ")


Record = Callable[..., Path]


def test_a_file_that_no_process_writes_is_tried_under_any_name(
    tmp_path: Path, record: Record, make_step: Callable[..., Step], spec: BenchSpec, meta: EpisodeMeta, tried: list[str]
) -> None:
    writer = EpisodeWriter(tmp_path, spec, meta)
    writer.append(make_step(0, spec))
    Episode(writer.path).close()
    assert tried == []
    Episode(foreign(writer.commit(Outcome.SUCCESS), "evil.part")).close()
    assert tried == ["evil.part"]
