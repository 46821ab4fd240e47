"""An episode as a picture."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from matplotlib.image import imread

from ebt_cli.app import run
from ebt_cli.reports.plot import _outcome
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import BenchSpec, Outcome
from tests.cli.conftest import told


def test_what_a_person_said_is_the_outcome_and_what_was_recorded_stands_beside_it(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(labelled / "b.h5", capsys)
    assert (found["outcome"], found["recorded"]) == ("success", "failure")
    with Episode(labelled / "b.h5") as episode:
        assert _outcome(episode) == "success (recorded: failure)"


def test_an_episode_is_drawn(rollout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "episode.png"
    assert run(["inspect", str(rollout), "--plot", str(picture)]) == 0
    pixels = np.asarray(imread(picture))
    assert pixels.shape[1] > 1000
    assert pixels[..., :3].std() > 0.05


@pytest.mark.parametrize("kind", ["demo", "rollout"])
def test_an_episode_without_rows_is_not_drawn(
    kind: str, spec: BenchSpec, ticks: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(EpisodeMeta(kind, spec.task))
        recorder.append(ticks(1)[0].step)
        path = recorder.finish(Outcome.ABORTED)
    with h5py.File(path, "r+") as file:
        file["/time/tick"].resize(0, axis=0)
    (tmp_path / "SHA256SUMS").unlink()
    assert told(path, capsys)["next"] == f"ebt inspect {tmp_path}"
    assert run(["inspect", str(path), "--plot", str(tmp_path / "a.png")]) == 5
    assert "holds no row: nothing to draw" in capsys.readouterr().err
