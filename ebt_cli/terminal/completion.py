"""Options that several verbs share, their limits, and shell completion of benches, recipes, episodes and runs."""

from pathlib import Path
from typing import Any

import typer

RUNS, EPISODES, ROLLOUTS = Path("data/runs"), Path("data/episodes"), Path("data/episodes/rollouts")
LONGEST = "the task's; 30 on real arms"
"""Shown in `--help` as the default of `--seconds`."""
DAY_S, MOST_HZ, LAST_SEED = 86_400, 1_000, 2**63 - 1
"""Upper limits of options: of an episode, of the control rate (no bus is faster), and of a seed (int64 in the file)."""
MOST_EPISODES, MOST_RETRIES = 100_000, 1_000
"""Upper limits of counts: 100 000 episodes take a month of lock-step time, and their names still have few digits."""
MOST_MINUTES = 60 * 24 * 31
"""Upper limit of a training's time."""


def check_seeds(first: int, count: int) -> None:
    """Refuse a range of seeds that ends beyond what a file can hold.

    Raises:
        MisuseError: `first + count - 1` is larger than LAST_SEED.
    """
    if first > LAST_SEED - count + 1:
        from ebt_data.errors import MisuseError

        raise MisuseError(
            f"seeds {first} to {first + count - 1} end beyond the largest, {LAST_SEED}",
            hint=f"--seed {LAST_SEED - count + 1} or less",
        )


def complete_bench(incomplete: str) -> list[str]:
    from ebt_hardware.config.benches import list_benches

    return [name for name in list_benches() if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    from ebt_hardware.twin.tasks.registry import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def task_option(default: str) -> Any:
    """The option `--task` of a verb; `default` describes the value that applies without it."""
    return typer.Option(
        "--task",
        metavar="NAME|FILE:CLASS",
        help="The task. Twin: a shipped name, or a Python file of your own, which is executed. Real arms: any text.",
        show_default=default,
        autocompletion=complete_task,
    )


def complete_recipe(incomplete: str) -> list[str]:
    from ebt_recipes.recipe import list_recipes

    return [name for name in list_recipes() if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    return [name for name in map(str, sorted(RUNS.glob("*/"))) if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Runs, folders of episodes and episodes; inside a folder that is being typed, its content."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    near = [str(path) for path in (*folder.glob("*.h5"), *folder.glob("*/"))] if incomplete else []
    return [name for name in sorted({*near, *map(str, RUNS.glob("*/")), str(EPISODES)}) if name.startswith(incomplete)]
