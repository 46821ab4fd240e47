"""What is said of a run: training, success rate, calibration, bench."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from ebt_cli import inspect as verb
from ebt_cli.app import run
from ebt_recipes.training.checkpoint import Run
from tests.cli.conftest import RUN, grades, lines, told, write_tally


def test_a_run_is_doubted_for_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(RUN, capsys)
    assert found["schema"] == "ebt.run/1" and found["verdict"] == "doubtful"
    assert grades(found) == {
        "success_rate": "doubtful",
        "demonstrations": "good",
        "converged": "doubtful",
        "calibration": "good",
        "bench": "good",
    }
    assert found["calibration"]["trusted"] is True and found["updates"] == 2586
    assert told(RUN / "calibration.json", capsys) == found


def test_a_run_for_another_bench_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    contract = json.loads((RUN / "run.json").read_text())
    contract["contract"]["rate_hz"] = 50.0
    (tmp_path / "run" / "run.json").write_text(json.dumps(contract))
    found = told(tmp_path / "run", capsys)
    assert found["verdict"] == "bad"
    assert "rate_hz 50 in the run, 20 on the bench" in next(r["text"] for r in found["reasons"] if r["name"] == "bench")


@pytest.mark.parametrize(
    ("errors", "grade", "words"),
    [
        ([0.1, 0.06, 0.051, 0.05, 0.05], "good", "it had converged: validation error 0.0500 rad, 0% less"),
        ([0.1, 0.09, 0.08, 0.07, 0.05], "doubtful", "still improving: validation error 0.0500 rad, 29% less"),
        ([0.1, 0.05, 0.04, 0.05, 0.06], "doubtful", "ended at 0.0600 rad, 1.50 times its lowest"),
        ([0.1, 0.05, np.nan, np.nan], "bad", "diverged: the validation error is not a number"),
        ([np.nan, np.nan], "bad", "diverged"),
        ([0.1, 0.05, 0.05, np.nan, 0.05], "good", "it had converged: validation error 0.0500 rad, 0% less"),
    ],
)
def test_whether_a_training_had_converged_is_read_from_its_curve(
    errors: list[float], grade: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    with SummaryWriter(str(tmp_path / "run" / "tensorboard")) as writer:
        for place, error in enumerate(errors):
            writer.add_scalar("validation/action_error_rad", error, 500 * place)
    found = told(tmp_path / "run", capsys)
    reason = next(r for r in found["reasons"] if r["name"] == "converged")
    assert reason["grade"] == grade and words in reason["text"]


@pytest.mark.parametrize(
    ("clean", "grade", "words"),
    [
        (
            lines(15, 0) + lines(5, 0, 50, attempts=2),
            "doubtful",
            "5 of 20 undisturbed successes were retried",
        ),
        (lines(17, 0) + lines(0, 3, 50, attempts=3), "good", "0 of 17 undisturbed successes were retried"),
        (lines(5, 5) + lines(5, 5, 50, attempts=2), None, "5 of 10 undisturbed successes were retried; too"),
    ],
)
def test_false_alarms_are_retries_of_what_succeeds(
    clean: list[dict[str, Any]], grade: str | None, words: str, tmp_path: Path
) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    write_tally(tmp_path, "clean_with_retry", clean, tmp_path / "run")
    report = verb._folder(tmp_path / "run")
    reason = {reason.name: reason for reason in report.reasons}.get("false_alarms")
    assert (reason and reason.grade.word) == grade
    assert words in (reason.text if reason else str(dict(report.rows)["retried"]))


def test_an_untrained_run_is_no_good(untrained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(untrained.path, capsys)
    assert grades(found)["demonstrations"] == "bad" and grades(found)["calibration"] == "doubtful"


@pytest.mark.slow
def test_inspect_tells_a_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(workplace / "data" / "runs" / "tiny"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["updates"] == 3
    assert told["cameras"] == ["top 96x96", "wrist 96x96"]
    assert told["privileged"] == []
