"""A recipe's task: which episodes of a mixed folder are used, and the effect of a run's task on a bench."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.config.benches import load_bench
from ebt_hardware.twin.tasks.registry import TASKS
from ebt_recipes.loop.deploy import bench_for_run, task_mismatch
from ebt_recipes.recipe import Recipe, load_recipe, parse_recipe, recipe_for
from ebt_recipes.task import episodes_of_task
from ebt_recipes.training.checkpoint import Run, load_contract
from ebt_recipes.training.train import train

Write = Callable[..., list[Path]]


def recipe(task: str, **training: int) -> Recipe:
    sections = {
        "model": {"width": 16, "layers": 1, "heads": 2},
        "encoder": {"image_size": 16, "channels": (4, 4, 4)},
        "training": {"max_steps": 1, "batch": 4, **training},
    }
    return parse_recipe({"name": "small", "task": task, **sections}, "test")


def trained_on(run: Run, task: str) -> Run:
    return replace(run, contract=replace(run.contract, task=task))


def test_only_the_named_task_is_used_from_a_mixed_folder(record_reach: Write, tmp_path: Path) -> None:
    ours, others = record_reach(3, task="reach"), record_reach(2, task="push")
    train(recipe("push"), ours + others, tmp_path / "run", lambda _: None)
    contract = load_contract(tmp_path / "run")[1]
    assert contract.task == "push"
    assert set(contract.episodes) <= {path.name for path in others}
    assert episodes_of_task(recipe("reach"), others + ours) == ours


def test_a_recipe_without_a_task_uses_the_only_task_of_the_episodes(record_reach: Write) -> None:
    paths = record_reach(3)
    assert episodes_of_task(recipe(""), paths) == paths


def test_several_tasks_without_a_named_one_are_counted(record_reach: Write) -> None:
    paths = record_reach(2, task="push") + record_reach(3)
    with pytest.raises(ConfigError, match="several: 3 of reach, 2 of push") as caught:
        episodes_of_task(recipe(""), paths)
    assert 'task = "reach"' in caught.value.hint


def test_a_task_without_episodes_is_rejected_with_the_tasks_found(record_reach: Write) -> None:
    with pytest.raises(ConfigError, match="is for peg_insert, and no episode has that task: 2 of reach") as caught:
        episodes_of_task(recipe("peg_insert"), record_reach(2))
    assert "ebt collect --task peg_insert" in caught.value.hint
    with pytest.raises(ConfigError, match="no episode at all"):
        episodes_of_task(recipe("peg_insert"), [])


def test_a_run_is_not_resumed_on_another_task(record_reach: Write, tmp_path: Path) -> None:
    paths = record_reach(2) + record_reach(2, task="push")
    train(recipe("reach"), paths, tmp_path / "run", lambda _: None)
    with pytest.raises(ConfigError, match="other values of task"):
        train(recipe("push", max_steps=2), paths, tmp_path / "run", lambda _: None, resume=True)


@pytest.mark.parametrize("task", TASKS)
def test_shipped_recipes_differ_only_in_the_task(task: str) -> None:
    folder = Path(load_recipe.__code__.co_filename).parent / "recipes"
    text, plain = ((folder / f"{name}.toml").read_text() for name in (task, "pick_place"))
    assert text.splitlines()[0] == f"# ebt train {task} --data data/episodes"
    assert text == plain.replace("pick_place", task)
    assert load_recipe(task) == load_recipe("pick_place").model_copy(update={"name": task, "task": task})
    assert recipe_for(task) == load_recipe(task)


def test_a_task_without_a_recipe_uses_the_default_one() -> None:
    assert recipe_for("Lift") == load_recipe("pick_place").model_copy(update={"task": "Lift"})


def test_the_twin_gets_the_task_that_the_run_was_trained_on(untrained: Run) -> None:
    twin = load_bench("twin")
    assert bench_for_run(twin, trained_on(untrained, "peg_insert")).spec.task == "peg_insert"
    assert bench_for_run(twin, trained_on(untrained, "")).spec.task == "pick_place"


def test_another_task_on_purpose_causes_a_warning(untrained: Run) -> None:
    run = trained_on(untrained, "peg_insert")
    table = bench_for_run(load_bench("twin"), run, "pick_place")
    assert table.spec.task == "pick_place"
    assert "was trained on peg_insert, not on pick_place" in task_mismatch(table.spec, run)
    assert task_mismatch(bench_for_run(table, run).spec, run) == ""


def test_a_task_in_a_runs_file_never_runs_code(untrained: Run, tmp_path: Path) -> None:
    (tmp_path / "sent.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(ConfigError, match="is not a built-in task of the twin"):
        bench_for_run(load_bench("twin"), trained_on(untrained, f"{tmp_path}/sent.py:Sent"))


def test_on_real_arms_a_task_is_only_a_label(untrained: Run) -> None:
    run, koch = trained_on(untrained, "peg_insert"), load_bench("koch")
    assert bench_for_run(koch, run) is koch
    assert bench_for_run(koch, run, "fold the towel").spec.task == "fold the towel"
    assert task_mismatch(koch.spec, run) == ""
