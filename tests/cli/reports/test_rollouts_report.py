"""What a folder of rollouts is worth, and how well energy separates failures from successes."""

from pathlib import Path

import numpy as np
import pytest

from ebt_cli import inspect as verb
from ebt_cli.app import run
from ebt_cli.reports.rollouts_report import SMOOTHED, separation
from ebt_recipes.uncertainty.monitor import smooth
from tests.cli.conftest import told


def test_what_is_excluded_is_not_named_among_the_failed(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["label", str(labelled / "c.h5"), "--success"])
    capsys.readouterr()
    rows = dict(verb._episodes(labelled).rows)
    assert str(rows["failed"]).startswith("a.h5")
    run(["label", str(labelled / "a.h5"), "--success"])
    assert dict(verb._episodes(labelled).rows)["failed"] == "none"


def test_labels_decide_what_a_folder_of_rollouts_is_worth(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(labelled, capsys)
    assert (found["judged"], found["successes"]) == (2, 1)
    assert [one["outcome"] for one in found["episodes"]] == ["failure", "success", "failure, excluded"]


def test_separation_is_the_chance_that_a_failure_lies_higher() -> None:
    assert separation([[3.0], [4.0]], [[1.0], [2.0]]) == 1.0
    assert separation([[1.0]], [[1.0]]) == 0.5
    assert separation([[2.0]], [[1.0], [3.0], [4.0], [5.0]]) == 0.25


def test_separation_compares_over_the_time_that_both_lasted() -> None:
    assert separation([[1.0, 1.0, 9.0]], [[2.0, 0.0]]) == 0.0
    assert separation([[1.0, 3.0, 9.0]], [[2.0, 0.0]]) == 1.0


def test_noise_of_unequal_lengths_tells_nothing() -> None:
    noise = np.random.default_rng(5)
    failures = [smooth(noise.normal(size=40).tolist(), SMOOTHED) for _ in range(100)]
    successes = [smooth(noise.normal(size=noise.integers(8, 25)).tolist(), SMOOTHED) for _ in range(100)]
    assert separation(failures, successes) == pytest.approx(0.5, abs=0.06)
