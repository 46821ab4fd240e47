"""`ebt train`: train a policy from recorded episodes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebt_cli.terminal.completion import EPISODES, MOST_MINUTES, RUNS, complete_recipe
from ebt_cli.terminal.console import Stopped, bell, result_table, say

if TYPE_CHECKING:
    from ebt_recipes.recipe import Recipe
    from ebt_recipes.training.train import Progress


def train(
    recipe: Annotated[
        str, typer.Argument(help="Recipe file, by name or path.", autocompletion=complete_recipe)
    ] = "pick_place",
    data: Annotated[Path, typer.Option("--data", "--episodes", help="Folder of demonstrations.")] = EPISODES,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default=f"{RUNS}/RECIPE")] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", min=0.05, max=MOST_MINUTES, help="Stop after so long, instead of the recipe's limit."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train a policy. Ctrl-C saves first; --resume goes on exactly there.

    Example: ebt train pick_place --data data/episodes
    """
    from ebt_cli.session import repair_first
    from ebt_recipes.recipe import load_recipe

    found = load_recipe(recipe)
    folder = out or RUNS / found.name
    repair_first(data)
    try:
        last = fit(found, data, folder, resume, None if time_limit is None else 60 * time_limit)
    except KeyboardInterrupt as stop:
        raise Stopped("what was learnt is kept: the same command with --resume goes on") from stop
    rows = [("run", str(folder)), ("updates", str(last.step)), ("seconds", f"{last.elapsed_s:.0f}")]
    rows += [(name, f"{value:.4g}") for name, value in last.losses.items()]
    rows += [(f"validation_{name}", f"{value:.4g}") for name, value in last.validation.items()]
    result_table(("what", "value"), rows)
    say(f"roll it out: ebt deploy {folder}", "cyan")


def fit(recipe: "Recipe", data: Path, out: Path, resume: bool, time_limit_s: float | None) -> "Progress":
    """Train with the train screen; returns how it ended."""
    from ebt_cli.screens.live import Painter
    from ebt_cli.screens.train_screen import TrainView
    from ebt_data.reading.episode import list_episodes
    from ebt_recipes.training.train import train as procedure

    view = TrainView(f"ebt train · {recipe.name} · {out}")
    with Painter(view):
        procedure(recipe, list_episodes(data), out, view.report, resume=resume, time_limit_s=time_limit_s)
    bell()
    last = view.last()
    if ":" in last.engine:
        say(f"trained {last.engine}", "yellow")
    return last
