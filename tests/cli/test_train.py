"""`ebt train` as a person types it."""

from pathlib import Path

import pytest

from ebt_cli.app import run


@pytest.mark.slow
def test_train_refuses_to_write_over_a_run(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    assert run(["train", "tiny.toml", "--data", "demos"]) == 2
    assert "--resume" in capsys.readouterr().err
