"""`ebt deploy` on the twin, of a run that was never trained."""

from pathlib import Path

import pytest

from ebt_cli import deploy
from ebt_cli.app import run
from ebt_data.reading.episode import Episode, list_episodes
from ebt_hardware.twin.tasks.pick_place import PickPlace
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.conformal import Calibration


@pytest.mark.slow
def test_deploy_records_energies_and_counts(untrained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", str(untrained.path), "-n", "2", "--seconds", "1", "--out", str(tmp_path / "rollouts")]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert "success 0/2 (0-66 %)" in err
    assert "--calibrate" in err
    with Episode(list_episodes(tmp_path / "rollouts")[0]) as episode:
        assert episode.meta.kind == "rollout"
        assert episode.energy is not None
        assert episode.energy["steps"].max() == 3


@pytest.mark.slow
def test_a_rollout_is_retried_as_often_and_as_long_as_asked(
    untrained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    always_too_high = Calibration(
        alpha=0.05,
        n=60,
        counted=30,
        score="energy",
        window=1,
        rollouts=(),
        times_s=(0,),
        mean=((0,),),
        sd=((1,),),
        k=-99,
    )
    monkeypatch.setattr(deploy, "load_calibration", lambda _: always_too_high)
    asked = ["deploy", str(untrained.path), "-n", "1", "--retries", "1", "--seconds", "6"]
    for more, why, last in (([], "agent gave up", "give_up"), (["--go-on"], "time limit", "rise")):
        assert run([*asked, *more, "--out", str(tmp_path / why)]) == 0
        row = capsys.readouterr().out.splitlines()[1].split("\t")
        assert (row[3], row[5]) == (why, "2")
        with Episode(list_episodes(tmp_path / why)[0]) as episode:
            kinds = [event.kind for event in episode.events]
            assert (kinds.count("replan"), last in kinds[kinds.index("replan") :]) == (1, True)


def test_going_on_after_no_retry_is_refused(untrained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", str(untrained.path), "--no-retry", "--go-on"]) == 2
    assert "--go-on" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_normal_can_be_learnt_from_failures(
    untrained: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PickPlace, "longest_s", 0.4)
    assert run(["deploy", str(untrained.path), "--calibrate", "1"]) == 1
    assert "none of 1 rollouts succeeded" in capsys.readouterr().err
    assert not (untrained.path / "calibration.json").exists()


@pytest.mark.slow
def test_the_energy_and_the_clock_are_calibrated_where_nothing_else_is_asked_for(
    untrained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PickPlace, "longest_s", 0.6)
    monkeypatch.setattr(PickPlace, "succeeded", lambda *_: True)
    assert run(["deploy", str(untrained.path), "--calibrate", "2"]) == 0
    path = untrained.path / "calibration.json"
    assert Calibration.load(path).score == "energy+elapsed"
    path.unlink()
