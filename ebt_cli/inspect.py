"""`ebt inspect`: what is in an episode, a folder of episodes, or a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ebt_cli.console import result_json, result_table, say
from ebt_cli.names import complete_data
from ebt_data.errors import DataError, MisuseError


def inspect(
    path: Annotated[
        Path, typer.Argument(help="An episode (.h5), a folder of them, or a run.", autocompletion=complete_data)
    ] = Path("data/episodes"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw an episode: energy, joints, what the cameras saw.")
    ] = None,
) -> None:
    """Show what was recorded or trained.

    Example: ebt inspect data/episodes/demo-0001.h5 --plot episode.png
    """
    if plot is not None and not path.is_file():
        raise MisuseError(f"--plot draws one episode, and {path} is none", hint=f"ebt inspect {path}")
    if path.is_file():
        _episode(path, json, plot)
    elif (path / "run.json").is_file():
        _run(path, json)
    elif path.is_dir():
        _folder(path, json)
    else:
        raise DataError(f"there is nothing at {path}", hint="record something with `ebt collect`, or try `ebt demo`")


def _episode(path: Path, json: bool, plot: Path | None) -> None:
    from ebt_cli.facts import facts
    from ebt_data.episode import Episode

    with Episode(path) as episode:
        found = facts(episode)
        if plot is not None:
            from ebt_cli.plot import plot_episode

            plot_episode(episode, path.name, plot)
            say(f"drawn to {plot}")
    if json:
        result_json("episode", found)
    else:
        result_table(("what", "value"), _flat(found))


def _folder(path: Path, json: bool) -> None:
    from ebt_cli.facts import SUMMARY, summary
    from ebt_cli.session import repair_first
    from ebt_data.episode import list_episodes

    repair_first(path)
    rows = [summary(episode) for episode in list_episodes(path)]
    if not rows:
        raise DataError(f"{path} holds no episode", hint=f"ebt collect --out {path}")
    if json:
        result_json("folder", {"folder": str(path), "episodes": rows})
        return
    result_table(SUMMARY, ([_word(row[column]) for column in SUMMARY] for row in rows))
    good = sum(row["outcome"] == "success" for row in rows)
    say(f"{len(rows)} episodes, {good} successes, {sum(row['rows'] or 0 for row in rows)} rows")


def _run(path: Path, json: bool) -> None:
    from ebt_cli.facts import run_facts

    found = run_facts(path)
    if json:
        result_json("run", found)
    else:
        result_table(("what", "value"), _flat(found))


def _flat(found: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as lines; an event is a line of its own."""
    for name, value in found.items():
        if name == "events":
            for event in value:
                yield "event", f"{event['time_s']:7.2f} s  {event['kind']}  {event['text']}"
        elif isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _word(value)


def _word(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
