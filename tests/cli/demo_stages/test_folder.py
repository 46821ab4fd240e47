"""A demo's folder takes one demo, and says what else is wrong with it before anything begins."""

import json
from pathlib import Path

import pytest

from ebt_cli.demo_stages.folder import check_same, check_space
from ebt_data.errors import DataError, MisuseError


def test_a_folder_goes_on_with_the_demo_it_was_begun_with(tmp_path: Path) -> None:
    check_same(tmp_path, {"size": {"rollouts": 10}, "recipe": {"training": {"betas": (0.9, 0.95)}}})
    check_same(tmp_path, {"size": {"rollouts": 10}, "recipe": {"training": {"betas": (0.9, 0.95)}}})
    with pytest.raises(MisuseError, match=r"size\.rollouts 10 \(now 50\)") as refused:
        check_same(tmp_path, {"size": {"rollouts": 50}, "recipe": {"training": {"betas": (0.9, 0.95)}}})
    assert f"rm -r {tmp_path}" in refused.value.hint


def test_newer_code_in_an_old_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_same(tmp_path, {"size": 1})
    stamp = tmp_path / "demo.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"code": "older"}))
    check_same(tmp_path, {"size": 1})
    assert "has changed since" in capsys.readouterr().err


def test_a_demo_that_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the demo needs 10000000\d\d MB"):
        check_space(tmp_path, 10**9)
