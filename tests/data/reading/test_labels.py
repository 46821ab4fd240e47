import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError, MisuseError
from ebt_data.files import commit
from ebt_data.reading.episode import Episode
from ebt_data.reading.labels import Labels, add_label, labels_path, read_label_entries, read_labels, undo_label
from ebt_data.step import Outcome
from ebt_data.windows.windows import Windows

Record = Callable[..., Path]
SCRIPT = """
import sys
from pathlib import Path
from ebt_data.reading.labels import add_label, undo_label
for number in range(40):
    add_label(Path(sys.argv[1]), "note", f"{sys.argv[2]} {number}", sys.argv[2])
    if number % 4 == 3:
        undo_label(Path(sys.argv[1]), sys.argv[2])
"""


def test_the_last_value_holds_and_notes_and_tags_accumulate(tmp_path: Path) -> None:
    episode = tmp_path / "episode_0000.h5"
    assert read_labels(episode) == Labels()
    for kind, value in (
        ("outcome", "success"),
        ("outcome", "failure"),
        ("note", "slow"),
        ("note", 'hits [bold]the\n"bin"\x1b'),
        ("tag", "a"),
        ("tag", "b"),
        ("tag", "b"),
        ("untag", "a"),
        ("trim", (2, 9)),
        ("exclude", True),
    ):
        add_label(episode, kind, value, "ada")
    assert read_labels(episode) == Labels(
        Outcome.FAILURE, ("slow", 'hits [bold]the\n"bin"\x1b'), ("b",), (2, 9), excluded=True
    )
    assert [line.by for line in read_label_entries(episode)] == ["ada"] * 10


def test_undo_cancels_the_newest_active_label_and_keeps_its_line(tmp_path: Path) -> None:
    episode = tmp_path / "episode_0000.h5"
    add_label(episode, "outcome", "failure", "ada")
    add_label(episode, "trim", (0, 5), "ada")
    assert undo_label(episode, "bo").kind == "trim"
    assert read_labels(episode) == Labels(Outcome.FAILURE)
    assert undo_label(episode, "bo").kind == "outcome"
    assert read_labels(episode) == Labels()
    with pytest.raises(MisuseError, match="has no label to undo"):
        undo_label(episode, "bo")
    assert [line.kind for line in read_label_entries(episode)] == ["outcome", "trim", "undo", "undo"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("outcome", "aborted"),
        ("note", ""),
        ("note", "x" * 2001),
        ("tag", "two words"),
        ("trim", (5, 5)),
        ("trim", (0, 1.5)),
        ("trim", (True, 2)),
        ("exclude", 1),
        ("colour", "red"),
    ],
)
def test_an_invalid_label_is_rejected_and_nothing_written(tmp_path: Path, kind: str, value: object) -> None:
    episode = tmp_path / "episode_0000.h5"
    with pytest.raises(MisuseError, match=kind):
        add_label(episode, kind, value, "ada")
    assert read_label_entries(episode) == []


def test_an_incomplete_line_affects_no_other(tmp_path: Path) -> None:
    episode = tmp_path / "episode_0000.h5"
    add_label(episode, "note", "before", "ada")
    add_label(episode, "note", "torn", "ada")
    path = labels_path(episode)
    path.write_bytes(path.read_bytes()[:-9])
    add_label(episode, "note", "after", "ada")
    assert read_labels(episode) == Labels(notes=("before", "after"), damaged=1)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "time": "", "by": "", "kind": "mask", "value": 1}',
        '{"id": "a", "time": "", "by": "", "kind": "trim", "value": [5, 2]}',
        '{"id": "a", "time": "", "by": "", "kind": "note"}',
        '{"id": ["a"], "time": "", "by": "", "kind": "note", "value": "x"}',
        "[1, 2]",
    ],
)
def test_a_complete_line_of_unknown_content_is_an_error(tmp_path: Path, line: str) -> None:
    episode = tmp_path / "episode_0000.h5"
    labels_path(episode).write_text(line + "\n")
    with pytest.raises(DataError, match="line 1"):
        read_labels(episode)


@pytest.mark.parametrize("room", [0, 20])
def test_a_label_that_does_not_fit_on_the_disk_is_not_written(tmp_path: Path, room: int) -> None:
    episode = tmp_path / "episode_0000.h5"
    add_label(episode, "note", "before", "ada")
    before = labels_path(episode).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, hard))
    try:
        with pytest.raises(DataError, match="cannot write"):
            add_label(episode, "note", "after", "ada")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert labels_path(episode).read_bytes() == before


def test_labels_are_not_written_through_a_link(tmp_path: Path) -> None:
    episode, mine = tmp_path / "episode_0000.h5", tmp_path / "mine"
    for link in (mine, tmp_path / "nowhere"):
        mine.write_text("")
        labels_path(episode).unlink(missing_ok=True)
        labels_path(episode).symlink_to(link)
        with pytest.raises(DataError, match="it is a link"):
            add_label(episode, "note", "x", "ada")
        assert (mine.read_text(), (tmp_path / "nowhere").exists()) == ("", False)


def test_a_line_nested_too_deeply_counts_as_incomplete(tmp_path: Path) -> None:
    episode = tmp_path / "episode_0000.h5"
    add_label(episode, "note", "before", "ada")
    with labels_path(episode).open("a") as file:
        file.write("[" * 100_000 + "\n")
    assert read_labels(episode) == Labels(notes=("before",), damaged=1)


def test_concurrent_writers_lose_no_label(tmp_path: Path) -> None:
    episode = tmp_path / "episode_0000.h5"
    both = [subprocess.Popen([sys.executable, "-c", SCRIPT, str(episode), name]) for name in ("ada", "bo")]
    assert [each.wait() for each in both] == [0, 0]
    lines = read_label_entries(episode)
    undone = [line.value for line in lines if line.kind == "undo"]
    assert (len(lines), len(set(undone)), len(read_labels(episode).notes)) == (100, 20, 60)
    assert read_labels(episode).damaged == 0


def test_training_data_follow_the_labels(record: Record) -> None:
    paths = [record(6) for _ in range(4)] + [record(6, outcome=Outcome.FAILURE)]
    add_label(paths[0], "trim", (2, 5), "ada")
    add_label(paths[1], "exclude", True, "ada")
    add_label(paths[2], "outcome", "failure", "ada")
    add_label(paths[4], "outcome", "success", "ada")
    windows = Windows(paths, history=2, horizon=2)
    assert (windows.paths, windows.skipped) == ([paths[0], paths[3], paths[4]], [paths[1], paths[2]])
    batch = windows.batch(np.array([0, 2, 3]))
    np.testing.assert_array_equal(batch["position"][:, :, 0], [[2, 2], [3, 4], [0, 0]])
    np.testing.assert_array_equal(batch["actions"][:, :, 0] - 400, [[2, 3], [4, 4], [0, 1]])
    np.testing.assert_array_equal((batch["row"], batch["episode"]), [[2, 4, 0], [0, 0, 1]])
    whole = Windows(paths[3:4], history=1, horizon=1)
    np.testing.assert_array_equal(windows.images["top"][:3], whole.images["top"][2:5])


def test_a_trim_outside_the_episode_is_reported(record: Record) -> None:
    path = record(6)
    add_label(path, "trim", (2, 7), "ada")
    with pytest.raises(DataError, match="rows 2 to 7, and has 6"):
        Windows([path], history=1, horizon=1)


def test_an_interrupted_recording_is_eligible_once_it_is_labelled(record: Record) -> None:
    path = record(6, outcome=Outcome.ABORTED, complete=False)
    with Episode(path) as episode:
        assert not episode.is_eligible()
    add_label(path, "outcome", "success", "ada")
    with Episode(path) as episode:
        assert episode.is_eligible()
        assert (episode.effective_outcome, episode.outcome) == (Outcome.SUCCESS, Outcome.ABORTED)


def test_an_episode_is_restored_from_the_trash_unchanged(record: Record) -> None:
    path = record(6)
    content = path.read_bytes()
    trashed = commit.discard(path)
    assert (path.exists(), trashed.parent.name) == (False, ".trash")
    other = record(3)
    assert other != path  # its name is not given to another
    assert commit.restore(trashed) == path
    assert path.read_bytes() == content
    with Episode(path) as episode:
        assert episode.verify()


def test_an_episode_discarded_before_commit_is_restored_with_a_name_and_a_checksum(
    tmp_path: Path, record: Record
) -> None:
    path = record(6)
    path.rename(path.with_suffix(".part"))
    trashed = commit.discard(path.with_suffix(".part"))
    (path.parent / "SHA256SUMS").unlink()
    taken = record(3)
    restored = commit.restore(trashed)
    assert (taken, restored.name) == (path, "episode_0001.h5")
    with Episode(restored) as episode:
        assert (len(episode), episode.verify()) == (6, True)
