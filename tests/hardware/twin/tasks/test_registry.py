"""Tasks are found by name or by path, and errors in them are reported in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from ebt_data.errors import ConfigError
from ebt_hardware.config import benches
from ebt_hardware.config.benches import load_bench
from ebt_hardware.twin.tasks.pick_place import PickPlace
from ebt_hardware.twin.tasks.registry import DEFAULT_TASK, TASKS, check_name, find_task, task_label
from ebt_hardware.twin.world import TwinWorld
from tests.hardware.twin.conftest import WHOLE

PART = """
class Mine:
    longest_s = 1.0
    def xml(self): return ""
    def reset(self, model, data, rng): ...
    def succeeded(self, data): return False
    def privileged(self, data): return {}
    def disturb(self, data, kind): ...
    def demonstrate(self, view, rng): ...
"""


def error_message(reference: str) -> str:
    with pytest.raises(ConfigError) as caught:
        find_task(reference)
    assert "tasks" in caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_the_table_places_its_objects_and_reports_their_poses(name: str) -> None:
    world = TwinWorld(name)
    assert world.privileged()
    assert not world.succeeded()
    assert not world.lifted()
    assert find_task(name).longest_s > 0


def test_naming_a_task_imports_no_physics() -> None:
    code = (
        "import sys; from ebt_hardware.config.benches import load_bench; load_bench('twin');"
        " from ebt_hardware.twin.tasks.registry import check_name; check_name('peg_insert');"
        " sys.exit('mujoco' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_default_is_in_the_table() -> None:
    assert find_task(DEFAULT_TASK) is PickPlace


def test_an_unknown_name_gets_the_nearest_and_all_others() -> None:
    with pytest.raises(ConfigError, match=r"no task 'peg_in'; did you mean peg_insert\?") as caught:
        check_name("peg_in")
    assert "pick_place, peg_insert" in caught.value.hint


def test_a_file_is_found_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WHOLE)
    reference = f"{tmp_path}/mine.py:Mine"
    assert find_task(reference).longest_s == 7.0
    assert task_label(reference) == "Mine"
    table = load_bench("twin").with_task(reference)
    assert (table.spec.task, table.longest_s) == ("Mine", 7.0)


def test_a_module_is_found_by_its_dotted_name() -> None:
    assert find_task("ebt_hardware.twin.tasks.pick_place:PickPlace") is PickPlace


def test_a_bench_file_names_no_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('it was run')")
    text = (Path(benches.__file__).parents[1] / "benches" / "twin.toml").read_text()
    (tmp_path / "sent.toml").write_text(text.replace('"pick_place"', f'"{tmp_path}/mine.py:Mine"'))
    with pytest.raises(ConfigError, match="has no task"):
        load_bench(str(tmp_path / "sent.toml"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert error_message(f"{tmp_path}/mine.py:Mine") == f"no task file at {tmp_path}/mine.py"


def test_a_module_that_is_not_there() -> None:
    assert "cannot import 'no_such_module'" in error_message("no_such_module:Mine")


def test_a_class_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WHOLE)
    assert error_message(f"{tmp_path}/mine.py:Yours").endswith("mine.py has no class 'Yours'; its classes: Mine")
    assert error_message(f"{tmp_path}/mine.py:").endswith("mine.py has no class ''; its classes: Mine")


def test_the_error_of_a_class_that_is_not_a_task_lists_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PART)
    assert error_message(f"{tmp_path}/mine.py:Mine").endswith(
        "is not a task: it lacks disturbances, before_step, lifted"
    )


def test_a_class_that_requires_arguments(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WHOLE + "    def __init__(self, size): ...\n")
    assert "its constructor must take no arguments, but missing a required argument: 'size'" in error_message(
        f"{tmp_path}/mine.py:Mine"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import math\n\nROOT = math.sqrt(-1)\n", "mine.py:3: ValueError: "),
        ("class Mine\n", "mine.py:1: SyntaxError: "),
        ("import no_such_thing\n", "mine.py:1: ModuleNotFoundError: No module named 'no_such_thing'"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line_and_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert expected in error_message(f"{tmp_path}/mine.py:Mine")
    monkeypatch.chdir(tmp_path)
    assert expected in error_message("./mine.py:Mine")
