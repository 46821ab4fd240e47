"""`ebt inspect`: every verdict comes with its figures, on one screen, and the same in JSON."""

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from ebt_cli import inspect as verb
from ebt_cli.app import run
from ebt_cli.screens.page import screen
from ebt_cli.terminal.verdict import Report
from ebt_data.step import BenchSpec
from tests.cli.conftest import grades, record_demos, told


def test_an_episode_is_told_as_lines(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(rollout)]) == 0
    out = capsys.readouterr().out
    rows = dict(line.split("\t") for line in out.splitlines())
    assert rows["verdict"] == "bad"
    assert rows["outcome"] == "failure"
    assert rows["rate_achieved_hz"] == "20.0"
    assert rows["event"] == "   1.00 s  rise  score 3 over 2"
    assert "\x1b" not in out


def test_a_damaged_file_is_a_reason_for_doubt(
    rollout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(rollout.read_bytes()[:3000])
    found = told(tmp_path, capsys)
    assert found["schema"] == "ebt.rollouts/1"
    (good,) = found["episodes"]
    assert good["rows"] == 30 and good["attempts"] == 2 and good["peak_energy"] > 1
    assert grades(found)["unreadable"] == "doubtful"
    assert "b.h5" in next(r["text"] for r in found["reasons"] if r["name"] == "unreadable")
    assert run(["inspect", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and "doubtful: 1 cannot be read" in err


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ([], ["a", "b", "c"]),
        (["failure"], ["a", "c"]),
        (["success"], ["b"]),
        (["excluded"], ["c"]),
        (["tag:x"], ["b", "c"]),
        (["tag:x", "failure"], ["c"]),
    ],
)
def test_a_folder_is_listed_by_what_was_said(
    labelled: Path, only: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["inspect", str(labelled), "--list", *(part for word in only for part in ("--only", word))]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[1:]] == [f"{name}.h5" for name in names]
    assert all(row[5:] == ["x", "odd"] for row in rows if row[0] == "b.h5")


def test_a_list_names_every_kind_and_bench_and_on_stderr_what_cannot_be_read(
    labelled: Path, spec: BenchSpec, ticks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    record_demos(labelled, spec, "small", ticks, 1)
    record_demos(labelled, replace(spec, rate_hz=50.0), "other", ticks, 1)
    (labelled / "z.h5").write_bytes((labelled / "a.h5").read_bytes()[:3000])
    capsys.readouterr()
    assert run(["inspect", str(labelled), "--list"]) == 0
    out, err = capsys.readouterr()
    names = [line.split("\t")[0] for line in out.splitlines()[1:]]
    assert names == ["a.h5", "b.h5", "c.h5", "episode_0000.h5", "episode_0001.h5"]
    assert "left out: " in err and "z.h5" in err


@pytest.mark.parametrize("word", ["tag", "tag:", "failure:x", "bad"])
def test_an_unknown_filter_names_the_known_ones(labelled: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(labelled), "--only", word]) == 2
    assert "success, failure, aborted, excluded, tag:WORD" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "there is nothing at"),
        ("a.png", "cannot be inspected"),
        ("a.jsonl", "no tally"),
        ("empty", "holds no episode"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.jsonl").write_text("no json\n")
    (tmp_path / "empty").mkdir()
    assert run(["inspect", str(tmp_path / name)]) == 5
    out, err = capsys.readouterr()
    assert out == "" and words in err and "hint: " in err


def test_a_folder_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--plot", "x.png"]) == 2


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40)])
def test_every_report_is_one_screen(demo: Path, size: tuple[int, int]) -> None:
    reports: list[Report] = [verb._folder(demo / name) for name in ("", "run", "rollouts")]
    reports += [verb._file(demo / "policy.jsonl", None), verb._file(next((demo / "rollouts").glob("*.h5")), None)]
    for report in reports:
        shown = [line.plain for line in screen(report, *size)]
        page = Console(width=size[0], file=io.StringIO())
        for line in screen(report, *size):
            page.print(line)
        assert page.file.getvalue().count("\n") < size[1], report.title
        assert max(map(cell_len, shown[:-1])) <= size[0]
        assert shown[-1] == f"next  {report.next}", "it is to be typed"
        assert shown[0].split()[0] in ("GOOD", "DOUBTFUL", "BAD")
        assert shown[-1].startswith("next  ebt ")


@pytest.mark.parametrize(
    "change",
    [{"joints": ("left/a", "left/b", "right/a")}, {"sim": False}, {"rate_hz": 50.0}, {"cameras": {}}],
)
def test_demonstrations_of_another_bench_are_counted_and_left_out(
    change: dict[str, Any], spec: BenchSpec, ticks: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_demos(tmp_path, spec, "twin", ticks, 3)
    record_demos(tmp_path, replace(spec, **change), "other", ticks, 2)
    found = told(tmp_path, capsys)
    assert grades(found)["mixed_benches"] == "bad"
    reason = next(r for r in found["reasons"] if r["name"] == "mixed_benches")
    assert reason["value"] == 2 and "episode_0003.h5" in reason["text"]
    assert len(found["episodes"]) == 3 and found["usable"] == 3


def test_an_empty_folder_has_no_lag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--sync"]) == 5
    assert "holds no episode" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--list"], ["--only", "failure"], ["--plot", "x.png"]])
def test_sync_cannot_be_combined(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--sync", *option]) == 2
    assert "--sync cannot be combined" in capsys.readouterr().err
