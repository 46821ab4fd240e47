"""A run without an energy, from poses alone: it acts and is shown, and nobody asks it for an energy."""

from pathlib import Path

import pytest

from ebt_cli.app import run
from ebt_data.reading.episode import Episode, list_episodes
from ebt_hardware.twin.tasks.pick_place import PickPlace
from ebt_recipes.training.checkpoint import load_run
from ebt_recipes.uncertainty.conformal import Calibration

RECIPE = """
task = "pick_place"
[objective]
kind = "flow"
steps = 2
[observe]
cameras = []
privileged = ["cube", "cube_from_hand"]
[training]
max_steps = 3
batch = 4
warmup_steps = 1
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    (folder / "flow.toml").write_text(RECIPE)
    demos, trained = str(folder / "demos"), str(folder / "run")
    assert run(["collect", "--bench", "twin_state", "-n", "2", "--out", demos]) == 0
    assert run(["train", str(folder / "flow.toml"), "--data", demos, "--out", trained]) == 0
    return folder


@pytest.mark.slow
def test_it_rolls_out_on_a_bench_without_cameras(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = load_run(workplace / "run")
    assert trained.cameras == () and trained.reference is not None
    assert (
        run(["deploy", str(workplace / "run"), "--bench", "twin_state", "-n", "1", "--out", str(workplace / "ro")]) == 0
    )
    assert "--calibrate" not in capsys.readouterr().err
    with Episode(list_episodes(workplace / "ro")[0]) as episode:
        energy = episode.energy
        assert energy is not None
        steps = {int(count) for count in energy["steps"]}
        assert steps == {0, 2}  # none before the first plan


@pytest.mark.slow
def test_there_is_no_normal_energy_to_learn(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", str(workplace / "run"), "--bench", "twin_state", "--calibrate", "2"]) == 2
    said = capsys.readouterr().err
    assert "was trained by flow and has no energy" in said
    assert "--score, one of strangeness, neighbour, jump, elapsed" in said


@pytest.mark.slow
def test_what_needs_no_energy_can_be_watched_all_the_same(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy = ["deploy", str(workplace / "run"), "--bench", "twin_state"]
    assert run([*deploy, "--score", "neighbour"]) == 2
    assert "--calibrate 100 --score neighbour" in capsys.readouterr().err
    assert run([*deploy, "--alpha", "0.02"]) == 2
    assert "--calibrate 100 --alpha 0.02" in capsys.readouterr().err
    assert run([*deploy, "--calibrate", "1", "--alpha", "5"]) == 2
    assert "--alpha 5 is no rate" in capsys.readouterr().err
    assert run([*deploy, "--calibrate", "1", "--score", "excess"]) == 2
    assert "has no score excess; it has strangeness" in capsys.readouterr().err
    monkeypatch.setattr(PickPlace, "longest_s", 0.6)
    monkeypatch.setattr(PickPlace, "succeeded", lambda *_: True)
    assert run([*deploy, "--calibrate", "2", "--score", "neighbour+jump", "--alpha", "0.1"]) == 0
    found = Calibration.load(workplace / "run" / "calibration.json")
    assert (found.score, found.alpha, found.n) == ("neighbour+jump", 0.1, 2)
