"""How far a demo got, and the command that resumes it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ebt_cli.app import run
from tests.cli.conftest import lines, told, write_tally


def stamp(folder: Path, demo: dict[str, Any]) -> None:
    (folder / "demo.json").write_text(json.dumps({"demo": demo, "code": "0"}))


def size(**counts: int) -> dict[str, int]:
    return {"demonstrations": 200, "rollouts": 50, "calibrate": 1, "controls": 20, "disturbed": 20} | counts


def test_a_demo_that_was_cut_off_is_judged_by_what_it_has(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("knocked_with_retry", "knocked_without", "clean_with_retry"):
        (demo / f"{name}.jsonl").unlink()
    shutil.rmtree(demo / "rollouts")
    (demo / "rollouts").mkdir()
    stamp(demo, {"size": size(demonstrations=30), "bench": {"task": "peg_insert"}})
    found = told(demo, capsys)
    assert next(r["text"] for r in found["reasons"] if r["name"] == "retry").endswith("not reached yet")
    assert found["next"] == f"ebt demo --quick --task peg_insert --out {demo}"
    assert "rollouts" not in found


def test_a_demo_that_made_all_its_tallies_is_over(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mean_demonstration_replayed", "zero_descent_steps"):
        write_tally(demo, name, lines(0, 20), demo / "run")
    write_tally(demo, "calibrate", lines(1, 0), demo / "run")
    stamp(demo, {"size": size(), "bench": {"task": "pick_place"}})
    assert told(demo, capsys)["next"] == f"ebt inspect {demo / 'run'}"
    stamp(demo, {"size": size(rollouts=51), "bench": {"task": "pick_place"}})
    assert told(demo, capsys)["next"] == f"ebt demo --out {demo}"
    stamp(demo, {"size": "odd", "bench": None})
    assert told(demo, capsys)["next"] == f"ebt inspect {demo / 'run'}"
    for name in ("knocked_with_retry", "knocked_without"):
        (demo / f"{name}.jsonl").unlink()
    found = told(demo, capsys)
    assert "nothing disturbs its task" in next(r["text"] for r in found["reasons"] if r["name"] == "retry")
    assert found["next"] == f"ebt inspect {demo / 'run'}"


def test_a_demo_without_a_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/runs/demo-quick")
    folder.mkdir(parents=True)
    stamp(folder, {"size": size(demonstrations=30), "bench": {"task": "pick_place"}})
    assert run(["inspect", str(folder)]) == 5
    assert capsys.readouterr().err.endswith("resume it: ebt demo --quick\n")
