"""The example of docs/tasks.md, by path, from an empty folder through the whole loop."""

import json
import re
from pathlib import Path

import pytest

from ebt_cli import demo
from ebt_cli.app import run
from ebt_cli.demo_stages import size
from ebt_cli.demo_stages.folder import check_same
from ebt_data.reading.episode import Episode, list_episodes
from ebt_hardware.config.benches import load_bench
from ebt_hardware.twin.world import TwinWorld

DOC = Path(__file__).parents[3] / "docs" / "tasks.md"
RECIPE = 'task = "Lift"\n\n[training]\nmax_steps = 2\nbatch = 4\nwarmup_steps = 1\n'
TASK = "./my_task.py:Lift"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (found,) = re.findall(r"^```python\n(.*?)^```", DOC.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "my_task.py").write_text(found)
    (tmp_path / "lift.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_example_goes_through_the_loop(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["collect", "--task", TASK, "-n", "2", "--out", "demos"]) == 0
    for path in list_episodes(folder / "demos"):
        with Episode(path) as episode:
            assert (episode.meta.task, episode.spec.task, episode.outcome) == ("Lift", "Lift", "success")
            assert "block" in episode.privileged
    assert run(["train", "lift.toml", "--data", "demos"]) == 0
    capsys.readouterr()

    assert run(["inspect", "data/runs/lift", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "Lift"

    assert run(["deploy", "data/runs/lift", "-n", "1"]) == 3, "a run's file names no code"
    assert "trained on 'Lift'" in (said := capsys.readouterr().err)
    assert "--task ./my_task.py:Lift" in said
    assert run(["deploy", "data/runs/lift", "--task", "pick_place", "-n", "0"]) == 2
    (folder / "my_task.py").write_text(
        (folder / "my_task.py").read_text().replace("longest_s = 12.0", "longest_s = 0.5")
    )
    capsys.readouterr()
    assert run(["deploy", "data/runs/lift", "--task", TASK, "-n", "1", "--out", "rollouts"]) == 0
    assert "expect it to fail" not in capsys.readouterr().err
    with Episode(list_episodes(folder / "rollouts")[0]) as episode:
        assert episode.meta.task == "Lift"


def test_a_demo_begun_with_another_version_of_the_file_is_not_gone_on_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "recipes").mkdir()
    (folder / "lift.toml").rename(folder / "recipes" / "lift.toml")
    table = load_bench(demo.BENCH).with_task(TASK)
    (folder / "demo").mkdir()
    check_same(folder / "demo", demo.ingredients(size.QUICK, table))
    file = folder / "my_task.py"
    file.write_text(file.read_text() + "\n# harder\n")
    assert run(["demo", "--quick", "--task", TASK, "--out", "demo"]) == 2
    assert "task_file" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_takes_the_example_and_disturbs_it_as_it_can_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "recipes").mkdir()
    (folder / "lift.toml").rename(folder / "recipes" / "lift.toml")
    monkeypatch.setattr(size, "QUICK", size.Size(2, 2, 1, 1, 0, 1, 10, "as little as there can be"))
    monkeypatch.setattr(demo, "SHOWN", 1)
    assert run(["demo", "--quick", "--task", TASK, "--out", "demo"]) == 0
    talked = capsys.readouterr()
    assert "--disturb nudge" in talked.err
    assert talked.out.splitlines()[-1].startswith("success ")
    with Episode(list_episodes(folder / "demo" / "rollouts")[0]) as episode:
        assert episode.meta.task == "Lift"


def test_the_examples_disturbance_is_one_that_it_knows(folder: Path) -> None:
    world = TwinWorld(TASK)
    before = world.privileged()["block"][0]
    world.disturb("nudge")
    world.advance(0.5)
    assert world.privileged()["block"][0] > before + 0.01


def test_the_example_runs_live(folder: Path) -> None:
    with load_bench("twin_live").with_task(TASK).model_copy(update={"cameras": {}}).open() as live:
        assert "block" in live.reset(0).privileged
