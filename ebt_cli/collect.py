"""`ebt collect`: record demonstrations with a leader arm, the keyboard, or the twin's scripted operator."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ebt_cli.terminal.completion import (
    DAY_S,
    EPISODES,
    LAST_SEED,
    LONGEST,
    MOST_EPISODES,
    MOST_HZ,
    check_seeds,
    complete_bench,
    task_option,
)
from ebt_cli.terminal.console import Stopped, bell, notify, result_table, short_path
from ebt_cli.terminal.folder_lock import claim
from ebt_data.errors import MisuseError

if TYPE_CHECKING:
    from ebt_data.agent import Agent
    from ebt_data.meta import EpisodeMeta
    from ebt_data.recording.recorder import Recorder
    from ebt_hardware.bench.bench import Bench
    from ebt_hardware.config.benches import DynamixelBench, TwinBench
    from ebt_hardware.teleop.keys import TerminalKeys
    from ebt_recipes.loop.recording import Hooks

SCRIPTED = "scripted"


class Operator(StrEnum):
    """How the operator moves the arm."""

    LEADER = "leader"
    KEYBOARD = "keyboard"


def collect(
    bench: Annotated[str, typer.Option(help="Bench file, by name or path.", autocompletion=complete_bench)] = "twin",
    task: Annotated[str | None, task_option("the bench file's")] = None,
    operator: Annotated[
        Operator, typer.Option(help="Leader arm or keyboard. On the twin a script moves the leader arm.")
    ] = Operator.LEADER,
    episodes: Annotated[
        int,
        typer.Option(
            "--episodes", "-n", min=1, max=MOST_EPISODES, help="Successful demonstrations to reach in the folder."
        ),
    ] = 30,
    out: Annotated[Path, typer.Option(help="Dataset folder; an unfinished one is continued.")] = EPISODES,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Seed of the first scene on the twin.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(min=1, max=DAY_S, help="Longest demonstration.", show_default=LONGEST)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, max=MOST_HZ, help="Control rate in Hz, instead of the bench file's.")
    ] = None,
    lossless: Annotated[
        bool,
        typer.Option("--lossless", help="Store images without loss (QOI): several times the disk space of JPEG."),
    ] = False,
) -> None:
    """Record demonstrations until the folder holds N successful ones (--episodes N).

    Keys while it runs: s save, d discard, r redo, b redo the previous one too, p pause or resume, n note, m mark, q stop.
    Discarded episodes are moved to .trash.
    Example: ebt collect --bench twin -n 30
    """
    from ebt_hardware.config.benches import load_bench
    from ebt_recipes.loop.collect import CollectPlan
    from ebt_recipes.loop.collect import collect as record_demonstrations
    from ebt_recipes.loop.recording import Limits

    check_seeds(seed, episodes)
    table = load_bench(bench) if task is None else load_bench(bench).with_task(task)
    if rate is not None:
        table = table.model_copy(update={"rate_hz": rate})
    plan = CollectPlan(episodes, Limits(seconds or table.longest_s), first_seed=seed)
    try:
        with collection(table, operator, out, lossless=lossless) as (opened, hooks):
            done = record_demonstrations(*opened, plan, hooks)
    except KeyboardInterrupt as stop:
        raise Stopped(f"recorded episodes are kept in {out}; the same command continues") from stop
    result_table(("episode",), ([short_path(path)] for path in done.kept))
    notify(f"{done.existing + len(done.kept)} of {episodes} demonstrations in {out}; {done.discarded} discarded")
    if done.stopped:
        notify("stopped before the target; the same command continues", "yellow")


class Collection(NamedTuple):
    """What `ebt_recipes.loop.collect.collect` takes, opened and connected to screen and keys."""

    bench: "Bench"
    operator: "Agent"
    recorder: "Recorder"
    folder: Path
    meta: "EpisodeMeta"


@contextmanager
def collection(
    table: "TwinBench | DynamixelBench", operator: Operator, out: Path, *, lossless: bool = False
) -> "Iterator[tuple[Collection, Hooks]]":
    """Open bench, recorder, screen and keys for recording into `out`."""
    from ebt_cli.reports.demonstrations import advice
    from ebt_cli.screens.collect_screen import CollectView, scales
    from ebt_cli.screens.live import Painter
    from ebt_cli.session import OperatorKeys, hooks, repair_first, report_fallbacks, versions
    from ebt_data.files.atomic_files import RESERVE_BYTES, prepare_folder
    from ebt_data.layout.codec import QUALITY
    from ebt_data.meta import EpisodeMeta
    from ebt_data.recording.recorder import Recorder
    from ebt_hardware.teleop.keyboard_arm import KeyboardArm
    from ebt_hardware.teleop.keys import TerminalKeys

    spec = table.spec
    if operator is Operator.KEYBOARD and spec.lockstep:
        raise MisuseError(
            f"the twin {spec.name} runs in lock-step, many times faster than real time, so keys cannot drive it",
            hint="ebt collect --bench twin_live --operator keyboard",
        )
    prepare_folder(out, RESERVE_BYTES / 1e6, "recording")
    repair_first(out)
    report_fallbacks(spec)
    who = SCRIPTED if operator is Operator.LEADER and spec.sim else str(operator)
    meta = EpisodeMeta("demo", spec.task, operator=who, bench=spec.name, versions=versions())
    # Two processes would record the same scenes and exceed the target.
    with claim(out, "ebt collect"), TerminalKeys() as keys:
        view = CollectView("ebt collect", spec, keys.active, scales(table))
        with (
            Painter(view) as painter,
            Recorder(out, spec, quality=None if lossless else QUALITY) as recorder,
            table.open() as bench,
        ):
            bell()
            meta, view.health = replace(meta, calibration=bench.calibration), bench.health
            agent = _agent(operator, table, bench, keys)
            attended = who != SCRIPTED
            if attended:
                view.attend(lambda: keys.line)
            if isinstance(agent, KeyboardArm):
                view.steer(lambda: agent.selected_joint)
            operator_keys = OperatorKeys(keys.poll, back=True, line_editor=keys if attended else None)
            session_hooks = hooks(view, painter, operator_keys, attended, advise=advice)
            yield Collection(bench, agent, recorder, out, meta), session_hooks


def _agent(operator: Operator, table: "TwinBench | DynamixelBench", opened: "Bench", keys: "TerminalKeys") -> "Agent":
    if operator is Operator.LEADER:
        return table.open_leader(opened)
    from ebt_hardware.teleop.keyboard_arm import KeyboardArm

    return KeyboardArm(opened.spec, keys)
