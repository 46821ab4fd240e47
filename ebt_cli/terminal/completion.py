"""Completion: names of benches, recipes, episodes and runs, as the shell asks for them."""

from pathlib import Path
from typing import Any

import typer

RUNS, EPISODES, ROLLOUTS = Path("data/runs"), Path("data/episodes"), Path("data/episodes/rollouts")
LONGEST = "the task's; 30 on real arms"
"""Said where nobody asks for a time."""
DAY_S, MOST_HZ, LAST_SEED = 86_400, 1_000, 2**63 - 1
"""The largest of what can be asked for: no episode lasts longer, no bus is faster, and a file keeps no more."""


def complete_bench(incomplete: str) -> list[str]:
    from ebt_hardware.config.benches import list_benches

    return [name for name in list_benches() if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    from ebt_hardware.twin.tasks.registry import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def task_option(default: str) -> Any:
    """The option `--task` of a verb; `default` says what is done without it."""
    return typer.Option(
        "--task",
        metavar="NAME|FILE:CLASS",
        help="What is done: on the twin a task, or a file of your own, which is run; on real arms any words.",
        show_default=default,
        autocompletion=complete_task,
    )


def complete_recipe(incomplete: str) -> list[str]:
    from ebt_recipes.recipe import list_recipes

    return [name for name in list_recipes() if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    return [name for name in map(str, sorted(RUNS.glob("*/"))) if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Runs, folders of episodes and episodes; within a folder that is being typed, its own."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    near = [str(path) for path in (*folder.glob("*.h5"), *folder.glob("*/"))] if incomplete else []
    return [name for name in sorted({*near, *map(str, RUNS.glob("*/")), str(EPISODES)}) if name.startswith(incomplete)]
