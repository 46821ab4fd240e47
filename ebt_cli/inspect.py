"""`ebt inspect`: is it good, and why: a demonstration, a rollout, a folder of them, a run, a tally, a demo."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ebt_cli.terminal.completion import complete_data
from ebt_cli.terminal.console import notify
from ebt_data.errors import DataError, MisuseError

if TYPE_CHECKING:
    from ebt_cli.reports.measure_cache import Hardware
    from ebt_cli.terminal.verdict import Reason, Report

ONLY = ("success", "failure", "aborted", "excluded", "tag:WORD")
"""The values of `--only`."""
DRAWN = (".png", ".svg", ".pdf", ".jpg")
ANYTHING = "an episode (.h5), a folder of them, a run, a demo's folder, its tallies (.jsonl), or a calibration.json"


def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            help="An episode (.h5), a folder of them, a run, or a demo's folder.", autocompletion=complete_data
        ),
    ] = Path("data/episodes"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object with everything.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Plot an episode: energy, joints, camera images.")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Estimate how far camera images lag behind joint positions.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List a folder's episodes, one a line.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help=f"Of a folder only some: {', '.join(ONLY)}. Repeat for both."),
    ] = None,
) -> None:
    """Check an episode, a folder of episodes or a training run: a verdict and its reasons.

    Example: ebt inspect data/episodes/episode_0001.h5 --plot episode.png
    """
    from ebt_cli.screens.page import show, show_list

    if sync and (listed or only or plot is not None):
        raise MisuseError("--sync cannot be combined with --list, --only or --plot", f"ebt inspect {path} --sync")
    if plot is not None:
        _check_plot(path, plot)
    if not path.exists():
        raise DataError(f"there is nothing at {path}", hint="record something with `ebt collect`, or try `ebt demo`")
    if sync:
        show(_sync(path), json)
    elif not (listed or only):
        show(_folder(path) if path.is_dir() else _file(path, plot), json)
    elif not path.is_dir():
        raise MisuseError(f"--list and --only are for a folder of episodes, and {path} is none", f"ebt inspect {path}")
    elif listed and not json:
        found = _contents(path, only or ())
        show_list(found.measured)
        for reason in found.damaged:
            notify(f"left out: {reason}", "yellow")
    else:
        show(_episodes(path, only or ()), json)


def _check_plot(path: Path, plot: Path) -> None:
    if path.suffix != ".h5":
        raise MisuseError(f"--plot draws one episode, and {path} is none", hint=f"ebt inspect {path}")
    if plot.suffix not in DRAWN:
        raise MisuseError(f"--plot {plot} names no picture; it ends in {', '.join(DRAWN)}", "--plot episode.png")
    if not plot.parent.is_dir():
        raise DataError(f"there is no folder {plot.parent} to draw into", f"mkdir -p {plot.parent}")


def _sync(path: Path) -> "Report":
    from ebt_cli.reports.sync_report import report
    from ebt_data.reading.episode import list_episodes

    paths = list_episodes(path) if path.is_dir() else [path]
    if not paths:
        raise DataError(f"{path} holds no episode", hint=f"ebt collect --out {path}")
    return report(path, paths)


def _file(path: Path, plot: Path | None) -> "Report":
    from ebt_cli.demo_stages.report import report_tally

    if path.suffix == ".jsonl":
        return report_tally(path)
    if path.name == "calibration.json" and (path.parent / "run.json").is_file():
        from ebt_cli.reports.run_report import report

        return report(path.parent)
    if path.suffix in (".png", ".svg", ".safetensors", ".toml", ".json") or path.name == "SHA256SUMS":
        raise DataError(f"{path} cannot be inspected; expected {ANYTHING}", hint=f"ebt inspect {path.parent}")
    return _episode(path, plot)


def _folder(path: Path) -> "Report":
    from ebt_cli.demo_stages import folder as demo_folder
    from ebt_cli.demo_stages import report as demo_report

    if (path / "run.json").is_file():
        from ebt_cli.reports.run_report import report

        return report(path)
    if demo_report.is_demo(path):
        parts = [name for name in ("episodes", "run", "rollouts") if name == "run" or any((path / name).glob("*.h5"))]
        return demo_report.report(path, [(name, _folder(path / name)) for name in parts])
    if (path / demo_folder.STAMP).is_file():
        from ebt_cli.demo_stages.stage import resume_command

        raise DataError(f"the demo in {path} has trained nothing yet", hint=f"resume it: {resume_command(path)}")
    return _episodes(path)


def _episode(path: Path, plot: Path | None) -> "Report":
    from ebt_cli.reports import demonstrations, rollout_report
    from ebt_cli.reports.episode_summary import facts
    from ebt_data.reading.episode import Episode

    with Episode(path) as episode:
        if plot is not None:
            from ebt_cli.reports.plot import plot_episode

            plot_episode(episode, path.name, plot)
            notify(f"drawn to {plot}")
        report = rollout_report.report if episode.meta.kind == "rollout" else demonstrations.report_one
        return report(episode, facts(episode))


class _Contents(NamedTuple):
    """The episodes of a folder."""

    measured: list[Mapping[str, Any]]
    hardware: "list[Hardware]"
    """Of each that was measured."""
    damaged: list[str]
    """Why the others were not."""


def _contents(path: Path, only: Sequence[str]) -> _Contents:
    """The episodes of a folder that match `--only`; a damaged file counts as a match.

    Raises:
        DataError: nothing.
    """
    from rich.progress import track

    from ebt_cli.reports.measure_cache import Measured
    from ebt_cli.session import repair_first
    from ebt_cli.terminal.console import stderr_console
    from ebt_data.reading.episode import list_episodes

    repair_first(path)
    console = stderr_console()
    found = _Contents([], [], [])
    with Measured(path) as known:
        files = list_episodes(path)
        # Files from elsewhere are read through the first time, which takes a while.
        for file in track(files, "Reading episodes", console=console, transient=True, disable=not console.is_terminal):
            try:
                measured, on = known.of(file)
            except DataError as error:
                found.damaged.append(str(error))
                continue
            if all(_matches(word, measured) for word in only):
                found.measured.append(measured)
                found.hardware.append(on)
    if not found.measured and not found.damaged:
        if only:
            raise DataError(f"{path} holds no episode that is {' and '.join(only)}", f"ebt inspect {path} --list")
        raise DataError(f"{path} holds no episode; expected {ANYTHING}", f"ebt collect --out {path}")
    return found


def _episodes(path: Path, only: Sequence[str] = ()) -> "Report":
    """The kind of which there are more; files of the other kind, and damaged ones, are reasons for doubt."""
    from ebt_cli.reports import demonstrations, rollouts_report
    from ebt_cli.reports.measure_cache import Hardware
    from ebt_cli.terminal.console import short_path

    measured, hardware, damaged = _contents(path, only)
    reference = Counter(hardware).most_common(1)[0][0] if hardware else Hardware((), False, 0.0, ())
    alike = [found for found, on in zip(measured, hardware, strict=True) if on == reference]
    odd = [found["episode"] for found, on in zip(measured, hardware, strict=True) if on != reference]
    doubts = _doubts(damaged, odd, alike)
    demos, rollouts = (
        [one for one in alike if (one["kind"] == "rollout") is is_rollout] for is_rollout in (False, True)
    )
    if len(rollouts) > len(demos):
        return rollouts_report.report_folder(
            short_path(path), rollouts, doubts, f"ebt inspect {short_path(path)}/{_next_rollout(rollouts)}"
        )
    return demonstrations.report_folder(path, demos, reference.joints, doubts)


def _matches(word: str, found: Mapping[str, Any]) -> bool:
    """Whether an episode matches `--only`."""
    what, _, tag = word.partition(":")
    if what not in [name.partition(":")[0] for name in ONLY] or bool(tag) is not (what == "tag"):
        raise MisuseError(f"--only {word} is unknown; there are {', '.join(ONLY)}", "ebt inspect --only failure --list")
    return tag in found["tags"] if what == "tag" else what in found["outcome"].split(", ")


def _doubts(damaged: list[str], odd: list[str], alike: Sequence[Mapping[str, Any]]) -> "list[Reason]":
    """Reasons for doubt about a folder with mixed content."""
    from ebt_cli.terminal.verdict import Grade, Reason

    doubts: list[Reason] = []
    if damaged:
        text = f"{len(damaged)} cannot be read: {damaged[0]}"
        doubts.append(Reason("unreadable", Grade.DOUBTFUL, text, len(damaged), "0"))
    if odd:
        text = f"{len(odd)} are of another bench (joints, cameras, rate or SIM), as {odd[0]}: left out"
        doubts.append(Reason("mixed_benches", Grade.BAD, text, len(odd), "0"))
    tasks = Counter(one["task"] for one in alike)
    if len(tasks) > 1:
        text = "several tasks: " + ", ".join(f"{task or 'unnamed'} {count}" for task, count in tasks.most_common())
        doubts.append(Reason("tasks", Grade.DOUBTFUL, text, len(tasks), "one"))
    rollouts = sum(one["kind"] == "rollout" for one in alike)
    if 0 < rollouts < len(alike):
        text = f"demonstrations ({len(alike) - rollouts}) and rollouts ({rollouts}) are in one folder"
        doubts.append(Reason("mixed", Grade.DOUBTFUL, text, min(rollouts, len(alike) - rollouts), "one kind"))
    return doubts


def _next_rollout(rollouts: Sequence[Mapping[str, Any]]) -> str:
    """The rollout to inspect next: the first failure, or the first that was retried."""
    order = sorted(rollouts, key=lambda one: (one["outcome"] != "failure", one["attempts"] == 1))
    return str(order[0]["episode"])
