"""What was measured once is looked up, unless it changed or makes no sense."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ebt_cli.app import run
from ebt_cli.reports import measure_cache as measured_folder
from tests.cli.conftest import told


def test_what_was_measured_once_is_not_measured_again_unless_something_changed(
    labelled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(labelled, capsys)
    measured: list[str] = []
    original = measured_folder._measure
    monkeypatch.setattr(measured_folder, "_measure", lambda path: (measured.append(path.name), original(path))[1])
    first = told(labelled, capsys)
    assert measured == []
    run(["label", str(labelled / "a.h5"), "--success"])
    capsys.readouterr()
    assert told(labelled, capsys)["successes"] == first["successes"] + 1
    assert measured == ["a.h5"]


@pytest.mark.parametrize("line", ["", "a.h5", "a.h5\t{", 'a.h5\t[[1, 2], {"episode": "a.h5"}, []]', "\x00" * 9])
def test_a_shortcut_that_does_not_fit_is_not_taken(
    rollout: Path, tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    (tmp_path / measured_folder.NAME).write_text(line)
    assert told(tmp_path, capsys)["episodes"][0]["rows"] == 30


def deep(known: Any) -> str:
    return "[" * 100_000


def other_kind(known: Any) -> str:
    known[1] |= {"kind": "demo"}
    return json.dumps(known)


def lacking(known: Any) -> str:
    del known[1]["attempts"]
    return json.dumps(known)


def wrong(known: Any) -> str:
    known[1] |= {"rows": [1], "seconds": None}
    return json.dumps(known)


@pytest.mark.parametrize("change", [deep, other_kind, lacking, wrong])
def test_a_shortcut_with_the_right_stamp_is_not_taken_either_where_it_makes_no_sense(
    rollout: Path, tmp_path: Path, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    first = told(tmp_path, capsys)
    shortcut = tmp_path / measured_folder.NAME
    name, _, known = shortcut.read_text().partition("\t")
    shortcut.write_text(f"{name}\t{change(json.loads(known))}\n")
    assert told(tmp_path, capsys) == first
