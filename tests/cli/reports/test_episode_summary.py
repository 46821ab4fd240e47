"""What is said of any episode."""

from pathlib import Path

import pytest

from ebt_cli.reports.episode_summary import motors_in_words
from tests.cli.conftest import grades, told


def test_an_episode_is_told_in_json(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(rollout, capsys)
    assert found["schema"] == "ebt.episode/1"
    assert found["verdict"] == "bad"
    assert grades(found)["outcome"] == "bad"
    assert found["rows"] == 30
    assert found["sim"] is True
    assert found["intact"] is True
    assert found["cameras"]["top"]["new_frames"] == 30
    assert found["energy"]["attempts"] == 2
    assert [event["kind"] for event in found["events"]] == ["rise"]
    assert found["measures"]["first_rise_s"] == 1.0


def test_motors_are_said_in_words() -> None:
    status = {
        "hottest": "elbow_flex",
        "temperature_c_max": 41.0,
        "lowest": "gripper",
        "voltage_v_min": 11.4,
        "errors": [],
    }
    words = "elbow_flex the hottest with 41 °C, gripper the lowest supply with 11.4 V"
    assert motors_in_words({"motors": status}) == words
    assert motors_in_words({"motors": status | {"errors": ["gripper"]}}) == f"{words}; gripper reported a fault"
    assert motors_in_words({"motors": None}) == "no motor status was read"
