"""The progress of a demo, by its folder, and the command that resumes it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join
from typing import Any

from ebt_cli.demo_stages import size as sizes
from ebt_cli.demo_stages.folder import STAMP
from ebt_cli.reports.tally import Line
from ebt_cli.terminal.completion import RUNS
from ebt_cli.terminal.console import short_path

ROLLED_OUT = {
    "calibrate": "calibrate",
    "policy": "rollouts",
    "cameras_blacked_out": "controls",
    "mean_demonstration_replayed": "controls",
    "zero_descent_steps": "controls",
}
"""Tallies of every demo, and which of its sizes is the number of rollouts of each."""
DISTURBED = {"knocked_with_retry": "disturbed", "knocked_without": "disturbed"}
"""Only where the energy is calibrated and the task has a disturbance; made before the last."""
LAST = {"clean_with_retry": "disturbed"}


def missing(folder: Path, tallies: Mapping[str, Sequence[Line]], calibrated: bool) -> list[str]:
    """Tallies that the demo has still to make or to finish."""
    size = _stamp(folder).get("size", {})
    expected = dict(ROLLED_OUT)
    if calibrated:
        undisturbed = "clean_with_retry" in tallies and not tallies.keys() & DISTURBED.keys()
        expected |= LAST if undisturbed else DISTURBED | LAST
    return [name for name, count in expected.items() if len(tallies.get(name, ())) < size.get(count, 1)]


def resume_command(folder: Path) -> str:
    """`ebt demo` with this folder's settings; defaults are left out."""
    from ebt_hardware.twin.tasks.registry import DEFAULT_TASK, task_label

    stamp = _stamp(folder)
    task = str(stamp.get("bench", {}).get("task", DEFAULT_TASK))
    quick = stamp.get("size", {}).get("demonstrations") == sizes.QUICK.demonstrations
    name = ("demo" if task == DEFAULT_TASK else f"demo-{task_label(task)}") + ("-quick" if quick else "")
    options = ["--quick"] * quick + (["--task", task] if task != DEFAULT_TASK else [])
    options += ["--out", short_path(folder)] if folder.resolve() != (RUNS / name).resolve() else []
    return join(["ebt", "demo", *options])


def _stamp(folder: Path) -> dict[str, Any]:
    """The demo's settings; empty where the folder has none, or invalid ones."""
    try:
        found = json.loads((folder / STAMP).read_text(encoding="utf-8"))["demo"]
        known = {name: found[name] for name in ("size", "bench")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    sizes = known["size"].values() if isinstance(known["size"], dict) else [None]
    readable = isinstance(known["bench"], dict) and all(isinstance(count, int | float) for count in sizes)
    return known if readable else {}
