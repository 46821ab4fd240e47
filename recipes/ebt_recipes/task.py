"""Selects the episodes of a recipe's task."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ebt_data.errors import ConfigError
from ebt_data.reading.episode import Episode
from ebt_recipes.recipe import Recipe


def episodes_of_task(recipe: Recipe, episodes: Sequence[Path]) -> list[Path]:
    """The episodes of the recipe's task, in the order given; all of them if it names no task and they have only one.

    Raises:
        ConfigError: no episode has that task, or none is named and they have several; the message counts the episodes.
        DataError: an episode cannot be read.
    """
    tasks = {}
    for path in episodes:
        with Episode(path) as episode:
            tasks[path] = episode.meta.task
    counted = Counter(tasks.values()).most_common()
    counts = ", ".join(f"{count} of {task or 'no named task'}" for task, count in counted) or "no episode at all"
    if not recipe.task:
        if len(counted) > 1:
            raise ConfigError(
                f"recipe {recipe.name} names no task, and the episodes have several: {counts}",
                hint=f'set one at the top of the recipe, e.g. task = "{counted[0][0]}"',
            )
        return list(episodes)
    chosen = [path for path in episodes if tasks[path] == recipe.task]
    if not chosen:
        raise ConfigError(
            f"recipe {recipe.name} is for {recipe.task}, and no episode has that task: {counts}",
            hint=f"ebt collect --task {recipe.task}, or another task in the recipe",
        )
    return chosen
