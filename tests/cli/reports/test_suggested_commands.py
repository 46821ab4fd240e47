"""Commands that a report recommends: typed as they are, they do what was meant."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ebt_data.step import BenchSpec
from tests.cli.conftest import RUN, record_demos, told


@pytest.mark.parametrize(
    ("bench", "task", "options"),
    [
        ("twin", "pick_place", ""),
        ("twin", "peg_insert", "--task peg_insert "),
        ("koch", "pick_place", "--bench koch "),
        ("koch", "fold a towel", "--bench koch --task 'fold a towel' "),
        ("mine", "pick_place", "--bench mine --task pick_place "),
        ("", "", ""),
    ],
)
def test_more_demonstrations_are_asked_of_the_same_bench_and_task(
    bench: str, task: str, options: str, spec: BenchSpec, ticks: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_demos(tmp_path, replace(spec, task=task), bench, ticks, 2)
    assert told(tmp_path, capsys)["next"] == f"ebt collect {options}-n 50 --out {tmp_path}"


@pytest.mark.parametrize(
    ("contract", "options"),
    [
        ({}, ""),
        ({"task": "peg_insert"}, ""),
        ({"bench": "koch", "sim": False}, "--bench koch "),
        ({"bench": "koch", "sim": False, "task": "fold"}, "--bench koch --task fold "),
    ],
)
def test_a_run_is_deployed_on_the_bench_and_task_it_was_trained_for(
    contract: dict[str, Any], options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    kept = json.loads((RUN / "run.json").read_text())
    kept["contract"] |= contract
    (tmp_path / "run" / "run.json").write_text(json.dumps(kept))
    assert told(tmp_path / "run", capsys)["next"] == f"ebt deploy {tmp_path / 'run'} {options}-n 20"
