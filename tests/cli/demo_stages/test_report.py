"""What is said of a demo and of its tallies: rates, controls, retries, energies."""

import json
import shutil
from pathlib import Path

import pytest

from ebt_cli import inspect as verb
from ebt_cli.reports.tally import tally
from ebt_recipes.loop.recording import Limits
from ebt_recipes.loop.rollouts import Trained, Trial
from tests.cli.conftest import RUN, grades, lines, told, write_tally


def test_a_demo_is_judged_by_its_rates_its_controls_and_its_retries(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(demo, capsys)
    assert found["schema"] == "ebt.demo/1"
    assert grades(found)["success_rate"] == "good"
    assert grades(found)["cameras_blacked_out"] == "good"
    assert grades(found)["retry"] == "good"
    assert "saved 9 and lost 0 of 20" in next(r["text"] for r in found["reasons"] if r["name"] == "retry")
    assert found["tallies"]["policy"] == {
        "rollouts": 50, "successes": 49, "low": 0.895, "high": 0.9965, "interval_95": "90-100 %"
    }  # fmt: skip
    assert found["verdict"] == "doubtful", "the stand-in for its demonstrations is one failed rollout"
    run_found = told(demo / "run", capsys)
    assert grades(run_found)["success_rate"] == "good"
    assert "0 of 20 undisturbed successes were retried" in next(
        r["text"] for r in run_found["reasons"] if r["name"] == "false_alarms"
    )


def test_what_is_no_tally_beside_a_run_is_left_out(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (demo / "empty.jsonl").touch()
    (demo / "other.jsonl").write_text('{"of": "another program"}\n')
    (demo / "binary.jsonl").write_bytes(bytes(range(256)))
    (demo / "zero_descent_steps.jsonl").touch()
    assert grades(told(demo / "run", capsys))["success_rate"] == "good"
    assert grades(told(demo, capsys))["other_weights"] == "doubtful"


def test_a_tally_of_other_weights_does_not_count(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = demo / "run" / "model.safetensors"
    shutil.copy(weights, demo / "other")
    (demo / "policy.jsonl").write_text((demo / "policy.jsonl").read_text().replace('"inputs": "', '"inputs": "0'))
    found = told(demo, capsys)
    assert "policy" not in found["tallies"]
    assert grades(found)["other_weights"] == "doubtful"


def test_a_tally_tells_energies_apart(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(demo / "knocked_without.jsonl", capsys)
    assert found["schema"] == "ebt.tally/1"
    separation = next(r for r in found["reasons"] if r["name"] == "separation")
    assert separation["value"] == 1.0 and "separates 11 failures from 9 successes at equal time" in separation["text"]
    assert "trial" in found


def test_of_a_tally_only_first_attempts_are_compared(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = demo / "knocked_with_retry.jsonl"
    write_tally(demo, "knocked_with_retry", lines(6, 6, 100, attempts=3), demo / "run")
    found = told(file, capsys)
    assert "separation" not in grades(found), "two first attempts failed, and of the retried ones nothing is known"
    assert [one["peak_energy"] is None for one in found["episodes"]] == [False] * 20 + [True] * 12
    assert "energies" not in found["episodes"][0]
    assert any("12 of 32 were retried" in str(value) for _, value in verb._file(file, None).rows)


@pytest.mark.parametrize(("calibration", "highest"), [(None, 4.0), (RUN / "calibration.json", 9.0)])
def test_scores_that_a_monitor_smoothed_are_not_smoothed_again(
    calibration: Path | None, highest: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    tally(file, "a", Trial("twin", Trained(RUN, calibration=calibration), Limits(1.0)), [], [])
    with file.open("a") as kept:
        kept.write(json.dumps(lines(1, 0)[0] | {"scores": [1.0, 2.0, 9.0]}) + "\n")
        kept.write('{"seed": 3}\n')  # of something else
    (one,) = told(file, capsys)["episodes"]
    assert one["peak_energy"] == highest
