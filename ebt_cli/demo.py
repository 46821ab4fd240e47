"""`ebt demo`: the whole loop on the digital twin, from no data to a success rate, in one resumable command."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebt_cli.demo_stages import size as sizes
from ebt_cli.demo_stages.folder import check_same, check_space
from ebt_cli.demo_stages.size import Size
from ebt_cli.screens.widgets import duration
from ebt_cli.session import rate_line
from ebt_cli.terminal.completion import RUNS, task_option
from ebt_cli.terminal.console import Stopped, notify, result_table
from ebt_cli.terminal.folder_lock import claim

if TYPE_CHECKING:
    from ebt_cli.reports.tally import Line
    from ebt_hardware.config.benches import DynamixelBench, TwinBench
    from ebt_recipes.loop.rollouts import MakeAgent, Trained

BENCH = "twin"
EVALUATE, CALIBRATE, DISTURB, CLEAN = 100_000, 200_000, 300_000, 400_000
"""First seeds; demonstrations count from 0, so that no scene occurs twice."""
SHOWN = 2
"""Rollouts on the live screen."""


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="About two minutes; the policy stays under-trained.")] = False,
    task: Annotated[str | None, task_option("pick_place")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything it makes.", show_default=f"{RUNS}/demo or demo-TASK")
    ] = None,
) -> None:
    """Run the whole loop on the simulated bench: collect, train, calibrate, roll out, retry.

    Everything is real but the arms: Dynamixel packets, RealSense pipelines, HDF5 files, a trained energy. Cut off, the
    same command resumes it; to start over, remove its folder.
    """
    from ebt_hardware.config.benches import load_bench
    from ebt_hardware.twin.tasks.registry import DEFAULT_TASK

    size = sizes.QUICK if quick else sizes.FULL
    table = load_bench(BENCH).with_task(task or DEFAULT_TASK)
    name = "demo" if table.task == DEFAULT_TASK else f"demo-{table.spec.task}"
    folder = out or RUNS / (f"{name}-quick" if quick else name)
    try:
        with claim(folder, "ebt demo"):
            check_space(folder, size.disk_mb)
            check_same(folder, ingredients(size, table))
            notify(f"The whole loop on the digital twin, into {folder}: {size.budget}.", "bold")
            if quick:
                notify(
                    "--quick: the policy will be under-trained and mostly fail; `ebt demo` trains a good one.", "yellow"
                )
            notify(_slower(), "yellow")
            _Demo(size, folder, table).run()
    except KeyboardInterrupt as stop:
        raise Stopped("finished stages are kept: the same command resumes from there") from stop
    if quick:
        notify("under-trained on purpose (--quick)", "yellow")


def ingredients(size: Size, table: "TwinBench | DynamixelBench") -> dict[str, Any]:
    """What determines the demo's results: a folder that was started with others is not resumed."""
    from ebt_recipes.recipe import recipe_for

    return {
        "size": {name: value for name, value in asdict(size).items() if name not in ("budget", "disk_mb")},
        "bench": table.model_dump(mode="json"),
        "recipe": recipe_for(table.spec.task).model_dump(mode="json"),
        "task_file": _digest(table.task),
    }


def _digest(task: str) -> str:
    """First twelve hex digits of the sha256 of a task file given by its path; empty for a built-in task."""
    place = Path(task.rpartition(":")[0])
    return hashlib.sha256(place.read_bytes()).hexdigest()[:12] if place.suffix == ".py" else ""


def _slower() -> str:
    """Why the demo takes longer than stated on this machine; empty where it does not."""
    from ebt_hardware.twin.render.rendering import SLOWEST, choose_renderer
    from ebt_recipes.workers import workers_possible

    why = []
    if len(os.sched_getaffinity(0)) < 2:
        why.append("one core: rollouts take twice as long, and the policy trains half as much in the same time")
    if choose_renderer() == SLOWEST:
        why.append("no OpenGL: collecting and rolling out take about twice as long")
    if not workers_possible():
        why.append("no room in /dev/shm: rollouts run one after the other, which takes twice as long")
    return "; ".join(why)


class _Demo:
    """The stages; each reuses the results of an earlier run."""

    def __init__(self, size: Size, folder: Path, table: "TwinBench | DynamixelBench") -> None:
        self._size = size
        self._table = table
        self._folder = folder
        self._episodes = folder / "episodes"
        self._run = folder / "run"
        self._calibration = self._run / "calibration.json"
        self._disturbance = "knock" if "knock" in table.disturbances else next(iter(table.disturbances), "")
        """The disturbance; empty where the task has none."""
        self._started_s = monotonic()

    def run(self) -> None:
        self._collect()
        self._train()
        self._calibrate()
        self._announce("4/5", f"{self._size.rollouts} fresh scenes; then controls; then disturbances")
        policy = self._tally("policy", self._trained(), EVALUATE, self._size.rollouts)
        rows = [_row("policy", policy), *self._controls(), *self._retries()]
        self._show()
        self._announce("done", f"ebt inspect {self._folder / 'rollouts'}")
        result_table(("what", "count", "interval_95"), rows)
        typer.echo(_rate(policy))

    def _collect(self) -> None:
        from ebt_cli.collect import Operator, collection
        from ebt_recipes.loop.collect import CollectPlan, collect
        from ebt_recipes.loop.recording import Limits

        self._announce(
            "1/5", f"ebt collect --task {self._table.task} -n {self._size.demonstrations} --out {self._episodes}"
        )
        plan = CollectPlan(self._size.demonstrations, Limits(self._table.longest_s))
        with collection(self._table, Operator.LEADER, self._episodes) as (opened, hooks):
            collect(*opened, plan, hooks)

    def _train(self) -> None:
        from ebt_cli.train import train_screen
        from ebt_data.reading.episode import list_episodes
        from ebt_recipes.recipe import recipe_for
        from ebt_recipes.training.checkpoint import is_trained
        from ebt_recipes.training.train import train

        recipe = recipe_for(self._table.spec.task)
        minutes = f"{self._size.train_s / 60:.2g}"
        self._announce(
            "2/5", f"ebt train {recipe.name} --data {self._episodes} --out {self._run} --time-limit {minutes}"
        )
        if is_trained(self._run):
            notify("trained already")
            return
        resume = (self._run / "resume.safetensors").is_file()
        with train_screen(recipe, self._run) as view:
            train(recipe, list_episodes(self._episodes), self._run, view.report, resume, self._size.train_s)

    def _calibrate(self) -> None:
        from ebt_recipes.uncertainty.conformal import ScoreSeries, calibrate

        self._announce(
            "3/5",
            f"ebt deploy {self._run} --calibrate {self._size.calibrate} --score energy  (the same, on both cores)",
        )
        found = self._tally("calibrate", self._trained(), CALIBRATE, self._size.calibrate)
        good = [line for line in found if line["outcome"] == "success"]
        if not good:
            notify("no rollout succeeded: energy is shown without a threshold, and nothing is retried", "yellow")
            self._calibration.unlink(missing_ok=True)
            return
        series = [ScoreSeries(f"seed {line['seed']}", tuple(line["times_s"]), tuple(line["scores"])) for line in good]
        calibration = calibrate(series)
        calibration.save(self._calibration)
        notify(calibration.warning, "yellow")

    def _controls(self) -> list[tuple[str, str, str]]:
        """Controls: the policy with cameras masked, with zero descent steps, and a replay of the mean demonstration."""
        from ebt_data.reading.episode import list_episodes
        from ebt_recipes.loop.rollouts import MeanDemonstration

        controls: list[tuple[str, MakeAgent]] = [
            ("cameras blacked out", self._trained(blindfolded=True)),
            ("mean demonstration replayed", MeanDemonstration(tuple(list_episodes(self._episodes)))),
            ("zero descent steps", self._trained(steps=0)),
        ]
        return [_row(name, self._tally(name, make, EVALUATE, self._size.controls)) for name, make in controls]

    def _retries(self) -> list[tuple[str, str, str]]:
        """Paired rollouts that are disturbed, and retries where nothing was."""
        from ebt_recipes.retry.retry import RetryRules

        if not self._calibration.is_file():
            return []
        bare = self._trained(calibration=self._calibration)
        retrying = self._trained(calibration=self._calibration, retry=RetryRules())
        number = self._size.disturbed
        rows = []
        if self._disturbance:
            knock = "knocked from the grip" if self._disturbance == "knock" else f"disturbed ({self._disturbance})"
            for name, agent in (("with retry", retrying), ("without", bare)):
                found = self._tally(f"knocked, {name}", agent, DISTURB, number, self._disturbance)
                rows.append(_row(f"{knock}, {name}", found))
        clean = self._tally("clean, with retry", retrying, CLEAN, number)
        false = sum(line["attempts"] > 1 for line in clean)
        rows.append(_row("not disturbed, with retry", clean))
        return [*rows, _row("not disturbed, retried all the same", clean, false)]

    def _show(self) -> None:
        """The verb itself on two of the disturbed scenes, and a picture of the first."""
        from ebt_cli.demo_stages.show import draw_first, roll_out_missing
        from ebt_cli.deploy import deploy

        out, picture = self._folder / "rollouts", self._folder / "rollout.png"
        seeds = range(DISTURB, DISTURB + SHOWN)
        disturbance = f" --disturb {self._disturbance}" if self._disturbance else ""
        command = (
            f"ebt deploy {self._run} --task {self._table.task} -n {SHOWN} --seed {DISTURB}{disturbance} --out {out}"
        )
        self._announce("5/5", command)
        if not picture.exists():
            roll_out_missing(deploy, self._run, BENCH, self._table.task, seeds, out, self._disturbance)
            draw_first(out, picture)

    def _trained(self, **changes: Any) -> "Trained":
        from ebt_recipes.loop.rollouts import Trained

        return Trained(self._run, **changes)

    def _tally(
        self, name: str, make: "MakeAgent", first_seed: int, number: int, disturbance: str = ""
    ) -> "Sequence[Line]":
        from ebt_cli.reports.tally import tally
        from ebt_recipes.loop.disturbance import DisturbanceRule
        from ebt_recipes.loop.recording import Limits
        from ebt_recipes.loop.rollouts import Trial

        rule = DisturbanceRule(disturbance) if disturbance else None
        trial = Trial(BENCH, make, Limits(self._table.longest_s), rule, self._table.task)
        file = self._folder / f"{name.replace(' ', '_').replace(',', '')}.jsonl"
        read = [self._run / "model.safetensors", self._run / "run.json"]
        if getattr(make, "calibration", None) is not None:
            read.append(self._calibration)
        return tally(file, name, trial, range(first_seed, first_seed + number), read)

    def _announce(self, stage: str, what: str) -> None:
        notify(f"[{stage}] {what}  ({duration(monotonic() - self._started_s)} so far)", "bold")


def _rate(found: "Sequence[Line]", count: int | None = None) -> str:
    from ebt_cli.reports.tally import successes
    from ebt_recipes.loop.interval import wilson

    good = successes(found) if count is None else count
    return rate_line(good, len(found), *wilson(good, len(found)))


def _row(name: str, found: "Sequence[Line]", count: int | None = None) -> tuple[str, str, str]:
    """E.g. `policy`, `41/50`, `69-90 %`."""
    _, share, interval = _rate(found, count).split(" ", 2)
    return name, share, interval.strip("()")
