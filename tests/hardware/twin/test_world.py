"""Errors that the world raises."""

from pathlib import Path

import pytest

from ebt_data.errors import ConfigError, MisuseError
from ebt_hardware.twin.world import TwinWorld
from tests.hardware.twin.conftest import WHOLE


def test_objects_that_mujoco_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WHOLE + "    def xml(self): return '<ball/>'\n")
    with pytest.raises(ConfigError, match="MuJoCo cannot read its objects"):
        TwinWorld(f"{tmp_path}/mine.py:Mine")


def test_a_disturbance_that_the_task_does_not_have() -> None:
    with pytest.raises(MisuseError, match="peg_insert has no disturbance 'earthquake'") as caught:
        TwinWorld("peg_insert").disturb("earthquake")
    assert caught.value.hint == "choose knock or nudge or move_goal"
