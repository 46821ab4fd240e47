from pathlib import Path

import pytest

from ebt_cli.reports.tally import TallyView, successes, tally
from ebt_recipes.loop.recording import Limits
from ebt_recipes.loop.rollouts import Trained, Trial
from tests.cli.screens.conftest import SIZES, fits, screen


@pytest.mark.slow
def test_an_interrupted_tally_resumes(tmp_path: Path) -> None:
    weights, file = tmp_path / "weights", tmp_path / "policy.jsonl"
    weights.write_bytes(b"one")
    # A run that is not there: whatever is asked of a worker fails, so that what comes back was kept.
    trial = Trial("twin", Trained(tmp_path / "no-run"), Limits(1.0))
    with pytest.raises(Exception, match="no-run"):
        tally(file, "policy", trial, [1], [weights])
    kept = '{"seed": 1, "outcome": "success"}\n{"seed": 2, "outcome": "failure"}\n{"seed": 3, "outc'
    file.write_text(file.read_text() + kept)
    found = tally(file, "policy", trial, [1, 2], [weights])
    assert [line["seed"] for line in found] == [1, 2]
    assert successes(found) == 1
    assert "outc" not in file.read_text().splitlines()[-1].replace("outcome", "")


def test_a_torn_line_costs_one_rollout_and_a_moved_folder_none(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"one")

    def trial(folder: Path) -> Trial:
        return Trial("twin", Trained(folder / "no-run"), Limits(1.0))

    (tmp_path / "here").mkdir()
    file = tmp_path / "here" / "policy.jsonl"
    assert tally(file, "policy", trial(tmp_path / "here"), [], [weights]) == []
    file.write_text(file.read_text() + '{"seed": 1, "outc\n{"seed": 2, "outcome": "success"}\n')
    (tmp_path / "here").rename(tmp_path / "there")
    moved = tmp_path / "there" / "policy.jsonl"
    assert tally(moved, "policy", trial(tmp_path / "there"), [2], [weights]) == [{"seed": 2, "outcome": "success"}]
    assert '"seed": 1' not in moved.read_text()


def test_what_was_kept_of_other_weights_does_not_count(tmp_path: Path) -> None:
    weights, file = tmp_path / "weights", tmp_path / "policy.jsonl"
    weights.write_bytes(b"one")
    trial = Trial("twin", Trained(tmp_path / "no-run"), Limits(1.0))
    assert tally(file, "policy", trial, [], [weights]) == []
    header = file.read_text()
    file.write_text(header + '{"seed": 1, "outcome": "success"}\n')
    assert len(tally(file, "policy", trial, [1], [weights])) == 1
    weights.write_bytes(b"two")
    assert tally(file, "policy", trial, [], [weights]) == []
    assert file.read_text() != header and file.read_text().count("\n") == 1


def test_the_screen_says_how_many_succeeded() -> None:
    view = TallyView("policy", 4, [{"outcome": "success"}])
    view.report({"outcome": "failure"})
    assert view.line().startswith("policy: 2/4 rollouts  1 successes")


@pytest.mark.parametrize("size", SIZES)
def test_the_tally_fits(size: tuple[int, int]) -> None:
    view = TallyView("policy", 100, [{"outcome": "success"}] * 70)
    assert fits(screen(view, size), size)
