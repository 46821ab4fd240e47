"""The twin's tasks by name, and a user's own tasks by path; looking up a name imports nothing.

TASKS: name -> "module:Class"
find_task(reference) -> type[Task]      reference: a name, "./my_task.py:MyTask" or "my.module:MyTask"
check_name(name) -> str                 accepts a name only, for bench files
task_label(reference) -> str            the task name stored in an episode
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from ebt_data.errors import ConfigError
from ebt_data.nearest import nearest

if TYPE_CHECKING:
    from ebt_hardware.twin.tasks.task import Task

TASKS: Mapping[str, str] = {
    "pick_place": "ebt_hardware.twin.tasks.pick_place:PickPlace",
    "peg_insert": "ebt_hardware.twin.tasks.peg_insert:PegInsert",
}
DEFAULT_TASK = "pick_place"
_HINT = f"tasks by name: {', '.join(TASKS)}; docs/tasks.md shows how to write your own: --task ./my_task.py:MyTask"


def check_name(name: str) -> str:
    """Return `name` if it is in the table.

    Raises:
        ConfigError: it is not; the message suggests the nearest name and the hint lists all.
    """
    if name not in TASKS:
        near = nearest(name, TASKS)
        suggestion = f"; did you mean {near}?" if near else ""
        raise ConfigError(f"the twin has no task {name!r}{suggestion}", hint=_HINT)
    return name


def task_label(reference: str) -> str:
    """The task's name; for a path, its class's name, independent of the file's location."""
    return reference.rpartition(":")[2]


def find_task(reference: str) -> "type[Task]":
    """The task's class. A path executes that file, so it may come from a flag only, never from another file.

    Raises:
        ConfigError: no such name, file, module or class, the file fails, or the class is not a `Task`.
    """
    location, _, name = (reference if ":" in reference else TASKS[check_name(reference)]).rpartition(":")
    module = _load(location) if location.endswith(".py") else _import(location)
    candidate = getattr(module, name, None)
    if not inspect.isclass(candidate):
        classes = [
            key for key, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__
        ]
        raise ConfigError(f"{location} has no class {name!r}; its classes: {', '.join(classes) or 'none'}", hint=_HINT)
    _check(candidate, reference)
    return cast("type[Task]", candidate)


def _load(location: str) -> ModuleType:
    """Execute the file as a module."""
    path = Path(location)
    if not path.is_file():
        raise ConfigError(f"no task file at {location}", hint=_HINT)
    name = f"ebt_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a name that ends in .py always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look modules up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's code may raise anything
        del sys.modules[name]
        raise ConfigError(f"{path}{_line(error, path)}: {type(error).__name__}: {error}", hint=_HINT) from error
    return module


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # likewise
        raise ConfigError(f"cannot import {module!r}: {type(error).__name__}: {error}", hint=_HINT) from error


def _line(error: Exception, path: Path) -> str:
    """`:12`, the last executed line of the file, if any was executed."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.absolute())
    ]
    return f":{lines[-1]}" if lines else ""


def _check(candidate: type, reference: str) -> None:
    from ebt_hardware.twin.tasks.task import Task

    required = [*Task.__annotations__, *(name for name, value in vars(Task).items() if _is_public_method(name, value))]
    missing = [name for name in required if not hasattr(candidate, name)]
    if missing:
        raise ConfigError(f"{reference} is not a task: it lacks {', '.join(missing)}", hint=_HINT)
    try:
        inspect.signature(candidate).bind()
    except TypeError as error:
        raise ConfigError(
            f"{reference} is not a task: its constructor must take no arguments, but {error}", hint=_HINT
        ) from error


def _is_public_method(name: str, value: object) -> bool:
    return inspect.isfunction(value) and not name.startswith("_")
