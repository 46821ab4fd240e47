"""Training from start to end, interrupted, and resumed."""

import signal
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import pytest
from torch import Tensor
from torch.nn import Module
from torch.optim.swa_utils import AveragedModel

from ebt_data.errors import ConfigError, MisuseError
from ebt_recipes.model.batch import Batch
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.training.checkpoint import is_trained, load_run, load_tensors
from ebt_recipes.training.learner import Learner
from ebt_recipes.training.train import Progress, train

Write = Callable[..., list[Path]]


def make_recipe(**training: object) -> Recipe:
    sections = {
        "model": {"width": 16, "layers": 1, "heads": 2},
        "encoder": {"image_size": 16, "channels": (4, 4, 4), "shift_px": 1},
        "act": {"horizon": 4, "execute": 2},
        "training": {"batch": 8, "warmup_steps": 3, "max_steps": 12, "validate_every": 5, **training},
    }
    return parse_recipe({"name": "small", **sections}, "test")


def quietly(progress: Progress) -> None:
    pass


def test_training_writes_a_run_that_fits_its_bench(tmp_path: Path, record_reach: Write, reach_spec: object) -> None:
    reports: list[Progress] = []
    run = load_run(train(make_recipe(), record_reach(3), tmp_path / "run", reports.append))
    run.check(reach_spec)  # type: ignore[arg-type]
    assert run.step == 12 and len(run.contract.episodes) == 2
    assert reports[-1].done == 1 and {"loss", "match", "level", "forecast"} <= set(reports[-1].losses)
    assert reports[-1].validation["action_error_rad"] > 0 and 0 <= reports[-1].data_wait <= 1
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_resumed_run_continues_exactly(tmp_path: Path, record_reach: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebt_recipes.training.train.REPORT_EVERY", 1)
    paths, whole, parts = record_reach(3), [], []
    train(make_recipe(), paths, tmp_path / "whole", whole.append)

    def interrupt(progress: Progress) -> None:
        parts.append(progress)
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(), paths, tmp_path / "parts", interrupt)
    train(make_recipe(), paths, tmp_path / "parts", parts.append, resume=True)
    assert [each.losses for each in parts] == [each.losses for each in whole]
    ends = [load_tensors(tmp_path / name / "resume.safetensors")[0] for name in ("whole", "parts")]
    assert ends[0].keys() == ends[1].keys() and all((ends[0][name] == ends[1][name]).all() for name in ends[0])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_deferred_to_the_end_of_an_update(
    tmp_path: Path, record_reach: Write, stop: signal.Signals
) -> None:
    update, updates = Learner.update, count(1)

    def stopped_half_way(learner: Learner, batch: Batch, done: float) -> dict[str, Tensor]:
        if next(updates) == 7:
            signal.raise_signal(stop)
        return update(learner, batch, done)

    paths = record_reach(3)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Learner, "update", stopped_half_way)
        train(make_recipe(), paths, tmp_path / "run", quietly)
    assert load_run(tmp_path / "run").step == 7 and not is_trained(tmp_path / "run")
    train(make_recipe(), paths, tmp_path / "run", quietly, resume=True)
    assert is_trained(tmp_path / "run")


def test_an_interrupted_update_is_not_saved(tmp_path: Path, record_reach: Write) -> None:
    average, updates = AveragedModel.update_parameters, count(1)

    def stopped_twice(averaged: AveragedModel, model: Module) -> None:
        if next(updates) == 7:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        average(averaged, model)

    paths, recipe = record_reach(3), make_recipe(checkpoint_every=4)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AveragedModel, "update_parameters", stopped_twice)
        train(recipe, paths, tmp_path / "parts", quietly)
    assert load_run(tmp_path / "parts").step == 4
    train(recipe, paths, tmp_path / "parts", quietly, resume=True)
    train(recipe, paths, tmp_path / "whole", quietly)
    ends = [load_tensors(tmp_path / name / "resume.safetensors")[0] for name in ("whole", "parts")]
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])


def test_a_run_that_was_killed_before_its_first_checkpoint_is_started_again(
    tmp_path: Path, record_reach: Write
) -> None:
    paths, run = record_reach(2), tmp_path / "run"
    train(make_recipe(), paths, run, quietly)
    for weights in run.glob("*.safetensors"):
        weights.unlink()
    assert load_run(train(make_recipe(), paths, run, quietly)).step == 12


def test_a_checkpoint_is_saved_every_half_minute(
    tmp_path: Path, record_reach: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = count(step=5.0)  # a clock that advances by 5 s each time it is read
    monkeypatch.setattr("ebt_recipes.training.train.perf_counter", lambda: next(readings))
    steps: list[int] = []
    save = Learner.save

    def saved(learner: Learner, run: Path, facts: Mapping[str, str]) -> None:
        steps.append(learner.step)
        save(learner, run, facts)

    monkeypatch.setattr(Learner, "save", saved)
    train(make_recipe(), record_reach(2), tmp_path / "run", quietly)
    assert steps[0] == 0 and steps[-1] == 12 and len(steps) > 3


def test_a_time_limit_ends_training_with_the_learning_rate_near_zero(
    tmp_path: Path, record_reach: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = count(step=0.01)  # a clock that advances by 10 ms each time it is read
    monkeypatch.setattr("ebt_recipes.training.train.perf_counter", lambda: next(readings))
    reports: list[Progress] = []
    train(make_recipe(max_steps=100_000), record_reach(2), tmp_path / "run", reports.append, time_limit_s=2.0)
    assert 10 < reports[-1].step < 100 and reports[-1].done == 1
    assert reports[-1].learning_rate < 2e-5


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path, record_reach: Write) -> None:
    paths = record_reach(2)
    train(make_recipe(), paths, tmp_path / "run", quietly)
    with pytest.raises(MisuseError, match="already contains a run"):
        train(make_recipe(), paths, tmp_path / "run", quietly)


def test_nothing_to_resume_is_reported(tmp_path: Path, record_reach: Write) -> None:
    with pytest.raises(MisuseError, match="nothing to resume"):
        train(make_recipe(), record_reach(2), tmp_path / "run", quietly, resume=True)


def test_a_run_is_not_resumed_with_another_recipe_or_other_episodes(tmp_path: Path, record_reach: Write) -> None:
    paths = record_reach(3)
    train(make_recipe(), paths, tmp_path / "run", quietly)
    with pytest.raises(ConfigError, match=r"training\.batch"):
        train(make_recipe(batch=4), paths, tmp_path / "run", quietly, resume=True)
    with pytest.raises(ConfigError, match="other episodes"):
        train(make_recipe(), paths[:2], tmp_path / "run", quietly, resume=True)


def test_a_run_can_be_lengthened(tmp_path: Path, record_reach: Write) -> None:
    paths = record_reach(2)
    train(make_recipe(), paths, tmp_path / "run", quietly)
    assert load_run(train(make_recipe(max_steps=15), paths, tmp_path / "run", quietly, resume=True)).step == 15
