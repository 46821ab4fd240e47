"""The contents of a run's folder, and the benches it rejects."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ebt_data.errors import ConfigError, DataError
from ebt_data.step import BenchSpec, CameraSpec
from ebt_hardware.config.benches import load_bench
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.recipe import parse_recipe
from ebt_recipes.training.checkpoint import (
    Contract,
    Run,
    calibration_hash,
    load_run,
    load_tensors,
    save_contract,
    save_tensors,
)

SPEC = BenchSpec("koch", ("pan", "gripper"), {"top": CameraSpec(48, 64, 30.0)}, 20.0, sim=False)
CONTRACT = Contract(("pan", "gripper"), {"top": (48, 64)}, 20.0, calibration="abc", episodes=("a.h5",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recipe = parse_recipe({"name": "small", "encoder": {"image_size": 16, "channels": (4, 4, 4)}}, "test")
    spread = MeanStd(np.array([0.1, 0.2], np.float32), np.array([0.3, 0.4], np.float32))
    chunk = MeanStd(np.zeros((16, 2), np.float32), np.ones((16, 2), np.float32))
    statistics = Statistics({"position": spread, "effort": spread}, chunk)
    path = tmp_path / "run"
    save_contract(path, recipe, CONTRACT, statistics)
    model = EnergyModel(recipe, ("top",), 2, statistics)
    save_tensors(path / "model.safetensors", model.state_dict(), {"step": "7"})
    return path


def differing(run: Run, spec: BenchSpec, calibration: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        run.check(spec, calibration)
    return str(caught.value)


def test_a_run_reads_back_what_was_written(folder: Path) -> None:
    run = load_run(folder)
    assert run.contract == CONTRACT and run.step == 7 and run.cameras == ("top",)
    np.testing.assert_array_equal(run.statistics.inputs["position"].std, np.array([0.3, 0.4], np.float32))
    assert not run.model.training and not any(weight.requires_grad for weight in run.model.parameters())


def test_the_bench_of_the_data_is_accepted(folder: Path) -> None:
    load_run(folder).check(SPEC, calibration="abc")


def test_all_differences_are_in_one_table(folder: Path) -> None:
    other = replace(SPEC, joints=("pan", "lift"), rate_hz=50.0, cameras={"top": CameraSpec(96, 96, 30.0)})
    message = differing(load_run(folder), other, calibration="xyz")
    for line in ("joints", "pan, gripper", "pan, lift", "rate_hz", "48x64", "96x96", "abc", "xyz"):
        assert line in message


def test_a_missing_camera_is_reported(folder: Path) -> None:
    message = differing(load_run(folder), replace(SPEC, cameras={})).splitlines()[-1].split()
    assert message == ["camera", "top", "48x64", "none"]


def test_a_policy_that_needs_privileged_state_is_rejected_on_a_real_bench(folder: Path) -> None:
    run = load_run(folder)
    privileged = replace(run, contract=replace(run.contract, privileged=("cube",)))
    assert "privileged" in differing(privileged, SPEC)
    privileged.check(replace(SPEC, sim=True))


def test_a_calibration_hash_depends_on_content_not_order() -> None:
    one, other = ({"a": 1, "b": [2]}, {"b": [2], "a": 1})
    assert calibration_hash(one) == calibration_hash(other) != calibration_hash({"a": 2})
    assert calibration_hash({}) == ""


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for value in (1.0, 2.0):
        save_tensors(path, {"x": torch.tensor([value])}, {"fact": str(value)})
    tensors, metadata = load_tensors(path)
    assert tensors["x"].item() == 2 and metadata == {"fact": "2.0"} and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "format"])
def test_a_damaged_run_is_reported(folder: Path, damage: str) -> None:
    weights, table = folder / "model.safetensors", folder / "run.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "foreign":
        table.write_text("{}")
    else:
        table.write_text(json.dumps({**json.loads(table.read_text()), "format": 99}))
    with pytest.raises(DataError):
        load_run(folder)


def test_a_bench_that_fits_is_named_where_another_was_chosen(untrained: Run) -> None:
    with pytest.raises(ConfigError) as caught:
        untrained.check(load_bench("twin_state").spec)
    assert "--bench twin" in caught.value.hint and "doctor" not in caught.value.hint


def test_where_no_bench_fits_the_hint_says_what_to_do(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run(folder).check(load_bench("twin").spec)
    assert caught.value.hint.startswith("no bench file here fits: choose another run")
