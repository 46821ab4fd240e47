"""`ebt label` as a person types it, on one recorded rollout and copies of it."""

import os
import shlex
import shutil
from pathlib import Path

import h5py
import pytest

from ebt_cli import label as verb
from ebt_cli.app import run
from ebt_data.reading.episode import Episode
from ebt_data.reading.labels import labels_path, read_label_entries, read_labels
from ebt_data.step import Outcome


@pytest.fixture
def episodes(rollout: Path, tmp_path: Path) -> list[Path]:
    """Two episodes in a folder of their own, with their sums."""
    names = [rollout.name, "episode_0001.h5"]
    for name in names:
        shutil.copy(rollout, tmp_path / name)
    digest = (rollout.parent / "SHA256SUMS").read_text().split()[0]
    (tmp_path / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name in names))
    return [tmp_path / name for name in names]


def table(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]


def test_several_episodes_are_labelled_at_once(episodes: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    both = [*map(str, episodes)]
    assert run(["label", *both, "--success", "--tag", "a", "--tag", "b", "--note", "slow", "--trim", "0.25:1.0"]) == 0
    assert [row[1:] for row in table(capsys)] == [["success", "0.25:0.95", "a b", "slow"]] * 2
    assert read_labels(episodes[1]).trim == (5, 20)
    assert run(["label", *both, "--untag", "a", "--exclude", "--trim", ":"]) == 0
    assert [row[1:] for row in table(capsys)] == [["success", "no", "b", "slow"]] * 2
    with Episode(episodes[0]) as episode:
        assert (episode.outcome, episode.effective_outcome) == (Outcome.FAILURE, Outcome.SUCCESS)


def test_without_an_option_it_tells_what_was_said_and_undo_takes_it_back(
    episodes: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(episodes[0])
    run(["label", one, "--success"])
    run(["label", one, "--undo"])
    capsys.readouterr()
    assert run(["label", one]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split("\t")[1:3] == ["failure", "all"]
    assert "outcome success" in err
    assert "undo" in err
    assert run(["label", one, "--undo"]) == 2
    assert "has no label to undo" in capsys.readouterr().err


def test_trash_and_back_takes_the_labels_along(episodes: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    run(["label", str(episodes[0]), "--note", "slow"])
    assert run(["label", str(episodes[0]), "--trash"]) == 0
    thrown = episodes[0].parent / ".trash" / episodes[0].name
    assert (episodes[0].exists(), thrown.exists(), read_labels(thrown).notes) == (False, True, ("slow",))
    assert run(["label", str(thrown), "--trash"]) == 5
    assert run(["label", str(thrown), "--restore"]) == 0
    assert (thrown.exists(), read_labels(episodes[0]).notes) == (False, ("slow",))
    assert run(["label", str(episodes[0]), "--restore"]) == 5
    assert "is in no .trash" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--trim", "soon"], 2, "no range of seconds"),
        (["--trim", "5:9"], 2, "leaves nothing"),
        (["--trim", "1:0.5"], 2, "leaves nothing"),
        (["--trim", "-1:1"], 2, "no range of seconds"),
        (["--trim", "nan:"], 2, "no range of seconds"),
        (["--untag", "nope"], 2, "has the tag 'nope'; nor any other"),
        (["--tag", "two words"], 2, "expected a word"),
        (["--success", "--undo"], 2, "cannot be combined"),
        (["--undo", "--trash"], 2, "cannot be combined"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(
    episodes: list[Path], options: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["label", *map(str, episodes), *options]) == code
    assert said in capsys.readouterr().err
    assert not any(labels_path(path).exists() and labels_path(path).stat().st_size for path in episodes)


def test_what_lies_in_the_trash_is_found_there(episodes: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["label", str(episodes[0]), "--trash"]) == 0
    assert run(["label", str(episodes[0]), "--restore"]) == 5
    hint = capsys.readouterr().err.splitlines()[-1].removeprefix("hint: ")
    assert run(shlex.split(hint)[1:]) == 0
    assert episodes[0].exists()


def test_one_wrong_file_stops_it_before_anything_is_said(
    episodes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["label", str(episodes[0]), str(tmp_path / "none.h5"), "--success"]) == 5
    assert "there is no episode" in capsys.readouterr().err
    assert not labels_path(episodes[0]).exists()


def test_nothing_is_said_where_a_part_of_it_makes_no_sense(episodes: list[Path]) -> None:
    assert run(["label", str(episodes[0]), "--failure", "--tag", "two words"]) == 2
    assert not labels_path(episodes[0]).exists()


def test_an_episode_that_is_named_twice_is_moved_once_from_wherever(
    episodes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(episodes[0].parent)
    assert run(["label", str(episodes[0]), episodes[0].name, "--trash"]) == 0
    monkeypatch.chdir(episodes[0].parent / ".trash")
    assert run(["label", episodes[0].name, "--trash"]) == 5
    assert run(["label", episodes[0].name, "../.trash/" + episodes[0].name, "--restore"]) == 0
    assert episodes[0].exists()


def test_a_link_in_place_of_labels_is_not_written_through(
    episodes: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    mine = episodes[0].parent / "mine"
    mine.write_text("")
    labels_path(episodes[0]).symlink_to(mine)
    assert run(["label", str(episodes[0]), "--note", "x"]) == 5
    assert mine.read_text() == ""
    assert "it is a link" in capsys.readouterr().err


def test_labels_that_nest_without_end_are_torn(episodes: list[Path]) -> None:
    labels_path(episodes[0]).write_text("[" * 100_000 + "\n")
    assert run(["label", str(episodes[0])]) == 0
    assert read_labels(episodes[0]).damaged == 1


def test_nothing_is_moved_or_undone_where_one_of_them_cannot_be(
    episodes: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = map(str, episodes)
    run(["label", one, "--note", "x"])
    assert run(["label", one, other, "--undo"]) == 2
    assert read_labels(episodes[0]).notes == ("x",)
    run(["label", other, "--trash"])
    thrown = episodes[1].parent / ".trash" / episodes[1].name
    assert run(["label", one, str(thrown), "--trash"]) == 5
    assert run(["label", str(thrown), one, "--restore"]) == 5
    assert (episodes[0].exists(), thrown.exists()) == (True, True)
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_in_place_of_the_trash_is_named(episodes: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (episodes[0].parent / ".trash").touch()
    assert run(["label", str(episodes[0]), "--trash"]) == 5
    assert ".trash is no folder" in capsys.readouterr().err
    assert episodes[0].exists()


def test_who_has_no_name_is_a_number_and_only_asked_for_to_write(
    episodes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[None] = []

    def nobody() -> str:
        asked.append(None)
        raise KeyError("uid not found")

    monkeypatch.setattr(verb, "getuser", nobody)
    assert run(["label", str(episodes[0])]) == 0
    assert asked == []
    assert run(["label", str(episodes[0]), "--note", "x"]) == 0
    assert [line.by for line in read_label_entries(episodes[0])] == [str(os.getuid())]


def test_nothing_is_trimmed_where_there_is_nothing(episodes: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    episodes[0].chmod(0o644)
    with h5py.File(episodes[0], "r+") as file:
        file["/time/tick"].resize(0, axis=0)
    (episodes[0].parent / "SHA256SUMS").unlink()
    for trim in (":", "0:1"):
        assert run(["label", str(episodes[0]), "--trim", trim]) == 5
        assert "holds no row: nothing to trim" in capsys.readouterr().err
