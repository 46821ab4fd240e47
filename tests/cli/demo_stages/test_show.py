"""The demo's last stage: only the rollouts that are missing are made, and the first is drawn."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ebt_cli.demo_stages.show import draw_first, roll_out_missing
from ebt_data.errors import HardwareError


def shown(out: Path, seeds: list[int], fault: HardwareError | None = None) -> list[Any]:
    """What `deploy` is asked for: how many rollouts, and from which seed on."""
    asked: list[Any] = []

    def deploy(*how: Any, disturb: str) -> None:
        asked.append((how[3:5], disturb))
        print("a table of deploy's own")  # noqa: T201
        if fault is not None:
            raise fault

    roll_out_missing(deploy, Path("run"), "twin", "pick_place", seeds, out, "nudge")
    return asked


def test_only_seeds_without_a_recording_are_rolled_out(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(rollout.parent, [7, 8, 9]) == [((2, 8), "nudge")]
    assert shown(rollout.parent, [7]) == []
    assert shown(rollout.parent / "none", [7, 8]) == [((2, 7), "nudge")]
    assert capsys.readouterr().out == "", "stdout is for the demo's own result"


def test_a_fault_of_the_twin_does_not_end_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(shown(tmp_path, [1], HardwareError("motor 3 shut down"))) == 1
    assert "the rollout ended in a fault: motor 3 shut down" in capsys.readouterr().err


def test_the_first_rollout_is_drawn_and_no_draft_is_left(rollout: Path, tmp_path: Path) -> None:
    shutil.copy(rollout, tmp_path)
    draw_first(tmp_path, tmp_path / "rollout.png")
    assert (tmp_path / "rollout.png").stat().st_size > 0
    assert not list(tmp_path.glob("unfinished*"))


def test_without_a_rollout_nothing_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_first(tmp_path, tmp_path / "rollout.png")
    assert "no rollout was recorded" in capsys.readouterr().err
    assert not (tmp_path / "rollout.png").exists()
