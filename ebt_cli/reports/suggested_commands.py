"""Commands that a report recommends, with the options that select its bench and task."""

from collections.abc import Sequence
from shlex import join
from typing import TYPE_CHECKING

from ebt_cli.terminal.console import short_path

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode

DEFAULT_BENCH = "twin"
"""The default bench of every verb."""


def collect(out: str, bench: str, task: str, count: int | None = None, operator: str = "") -> str:
    """`ebt collect`, to continue the dataset in `out`; an unknown bench or task is "" and left out."""
    number = [] if count is None else ["-n", str(count)]
    hand = ["--operator", operator] if operator == "keyboard" else []
    return join(["ebt", "collect", *_bench(bench), *_task(bench, task), *hand, *number, "--out", out])


def deploy(run: str, bench: str, task: str, sim: bool, more: Sequence[str]) -> str:
    """`ebt deploy`, on the bench that a run was trained for; on the twin the verb selects the run's task itself."""
    return join(["ebt", "deploy", run, *_bench(bench), *([] if sim else _task(bench, task)), *more])


def draw(episode: "Episode", picture: str) -> str:
    """`ebt inspect --plot` of an episode, or of its folder where the episode holds no row."""
    path = episode.path
    return join(
        ["ebt", "inspect", short_path(path), "--plot", picture]
        if len(episode)
        else ["ebt", "inspect", short_path(path.parent)]
    )


def _bench(bench: str) -> list[str]:
    return [] if bench in ("", DEFAULT_BENCH) else ["--bench", bench]


def _task(bench: str, task: str) -> list[str]:
    """Nothing where the bench file names this task."""
    from ebt_data.errors import ConfigError
    from ebt_hardware.config.benches import load_bench

    try:
        default_task = load_bench(bench or DEFAULT_BENCH).spec.task
    except ConfigError:
        default_task = ""
    return [] if task in ("", default_task) else ["--task", task]
