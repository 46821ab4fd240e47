import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from ebt_cli.app import run


def test_an_episode_is_told_in_json(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(rollout), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "ebt.episode/1"
    assert told["rows"] == 30
    assert told["sim"] is True
    assert told["intact"] is True
    assert told["cameras"]["top"]["new_frames"] == 30
    assert told["energy"]["attempts"] == 2
    assert [event["kind"] for event in told["events"]] == ["rise"]


def test_an_episode_is_told_as_lines(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(rollout)]) == 0
    rows = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert rows["outcome"] == "failure"
    assert rows["rate_achieved_hz"] == "20.0"
    assert rows["event"] == "   1.00 s  rise  score 3 over 2"


def test_a_folder_is_one_row_an_episode_and_damage_is_said(
    rollout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(rollout.read_bytes()[:3000])
    assert run(["inspect", str(tmp_path), "--json"]) == 0
    good, damaged = json.loads(capsys.readouterr().out)["episodes"]
    assert good["rows"] == 30 and good["attempts"] == 2 and good["peak_energy"] == 3.9
    assert damaged["outcome"].startswith("unreadable")
    assert run(["inspect", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_an_empty_folder_names_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path)]) == 5
    assert "hint: ebt collect" in capsys.readouterr().err


def test_an_episode_is_drawn(rollout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "episode.png"
    assert run(["inspect", str(rollout), "--plot", str(picture)]) == 0
    pixels = np.asarray(imread(picture))
    assert pixels.shape[1] > 1000
    assert pixels[..., :3].std() > 0.05


def test_a_folder_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--plot", "x.png"]) == 2
