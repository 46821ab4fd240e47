"""`ebt train`: train a policy from recorded episodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebt_cli.terminal.completion import EPISODES, MOST_MINUTES, RUNS, complete_recipe
from ebt_cli.terminal.console import Stopped, bell, notify, result_table

if TYPE_CHECKING:
    from ebt_cli.screens.train_screen import TrainView
    from ebt_recipes.recipe import Recipe


def train(
    recipe: Annotated[
        str, typer.Argument(help="Recipe file, by name or path.", autocompletion=complete_recipe)
    ] = "pick_place",
    data: Annotated[Path, typer.Option("--data", "--episodes", help="Folder of demonstrations.")] = EPISODES,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default=f"{RUNS}/RECIPE")] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", min=0.05, max=MOST_MINUTES, help="Time limit, instead of the recipe's."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the folder.")] = False,
) -> None:
    """Train a policy on recorded demonstrations. Ctrl-C saves a checkpoint and stops; --resume continues from it.

    Example: ebt train pick_place --data data/episodes
    """
    from ebt_cli.session import repair_first
    from ebt_data.reading.episode import list_episodes
    from ebt_recipes.recipe import load_recipe
    from ebt_recipes.training.train import train as train_policy

    loaded = load_recipe(recipe)
    folder = out or RUNS / loaded.name
    time_limit_s = None if time_limit is None else 60 * time_limit
    repair_first(data)
    try:
        with train_screen(loaded, folder) as view:
            train_policy(loaded, list_episodes(data), folder, view.report, resume, time_limit_s)
    except KeyboardInterrupt as stop:
        raise Stopped("the last checkpoint is kept: the same command with --resume continues") from stop
    last = view.last()
    rows = [("run", str(folder)), ("updates", str(last.step)), ("seconds", f"{last.elapsed_s:.0f}")]
    rows += [(name, f"{value:.4g}") for name, value in last.losses.items()]
    rows += [(f"validation_{name}", f"{value:.4g}") for name, value in last.validation.items()]
    result_table(("what", "value"), rows)
    notify(f"roll it out: ebt deploy {folder}", "cyan")


@contextmanager
def train_screen(recipe: "Recipe", out: Path) -> "Iterator[TrainView]":
    """The train screen around a training; rings when it is done."""
    from ebt_cli.screens.live import Painter
    from ebt_cli.screens.train_screen import TrainView

    view = TrainView(f"ebt train · {recipe.name} · {out}")
    with Painter(view):
        yield view
    bell()
    engine = view.last().engine
    if ":" in engine:
        notify(f"trained {engine}", "yellow")
