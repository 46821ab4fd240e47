"""`ebt convert`: export episodes in the formats of other tools."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ebt_cli.terminal.completion import EPISODES, complete_data
from ebt_cli.terminal.console import notify, result_table, short_path
from ebt_data.errors import DataError

Layout = Literal["aloha", "robomimic"]


def convert(
    data: Annotated[
        Path, typer.Argument(help="Folder of episodes, or one of them.", autocompletion=complete_data)
    ] = EPISODES,
    to: Annotated[
        Layout, typer.Option(help="aloha: a file an episode, as its recorder writes them. robomimic: all in one.")
    ] = "aloha",
    out: Annotated[
        Path | None,
        typer.Option(help="New folder (aloha) or file (robomimic).", show_default="beside the data"),
    ] = None,
) -> None:
    """Export the episodes used for training, without trimmed rows, to ALOHA/ACT or robomimic.

    The recordings are not changed. What the other format cannot hold is listed.
    Example: ebt convert data/episodes --to robomimic --out data/episodes.hdf5
    """
    from ebt_data.convert import aloha, robomimic
    from ebt_data.reading.episode import Episode, list_episodes

    data = data.absolute()
    paths = [data] if data.is_file() else list_episodes(data)
    taken = []
    for path in paths:
        with Episode(path) as episode:
            if episode.is_eligible():
                taken.append(path)
    if not paths:
        raise DataError(f"{data} holds no episode", f"ebt collect --out {short_path(data)}")
    if not taken:
        look = f"ebt inspect {short_path(data)}{'' if data.is_file() else ' --list'}"
        raise DataError(f"none of {len(paths)} episodes in {data} is complete and ended in success", look)
    base = data.with_suffix("") if data.is_file() else data
    if to == "aloha":
        made = aloha.to_aloha(taken, out or base.with_name(f"{base.name}_aloha"))
    else:
        target = robomimic.to_robomimic(taken, out or base.with_name(f"{base.name}_robomimic.hdf5"))
        made = [(path, target) for path in taken]
    result_table(("episode", "as"), [(short_path(path), short_path(target)) for path, target in made])
    left = f" ({len(paths) - len(taken)} are no whole successes)" if len(taken) < len(paths) else ""
    cut = f", in {len(made)} demonstrations, cut at their pauses" if len(made) > len(taken) else ""
    notify(
        f"{len(taken)} of {len(paths)} episodes{left}{cut}; {aloha.NOT_EXPORTED if to == 'aloha' else robomimic.NOT_EXPORTED}"
    )
