"""`ebt demo`: the whole loop on the digital twin, from no data to a success rate, in one resumable command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from ebt_cli.console import result_table, say
from ebt_cli.names import RUNS
from ebt_cli.session import rate_line
from ebt_cli.widgets import duration

if TYPE_CHECKING:
    from ebt_cli.tally import Line
    from ebt_recipes.rollouts import MakeAgent

BENCH, RECIPE = "twin", "pick_place"
EVALUATE, CALIBRATE, DISTURB, CLEAN = 100_000, 200_000, 300_000, 400_000
"""First seeds; demonstrations count from 0, so that no scene is met twice."""
LONGEST_S = 15.0
"""Of a rollout, retries included; a demonstration takes three to five seconds."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    demonstrations: int
    train_s: float
    rollouts: int
    calibrate: int
    controls: int
    """Rollouts for each control."""
    disturbed: int
    """Paired seeds."""
    budget: str


FULL = Size(200, 480, 50, 30, 20, 20, "collect at most 5 min, train at most 10 min, roll out at most 5 min")
QUICK = Size(30, 40, 10, 4, 2, 2, "about 2 min in all")


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="About two minutes; the policy stays under-trained.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything it makes.", show_default=f"{RUNS}/demo")
    ] = None,
) -> None:
    """Show the whole loop on the digital twin: collect, train, calibrate, roll out, retry.

    Everything is real but the arms: Dynamixel packets, RealSense pipelines, HDF5 files, a trained energy. Cut off, the
    same command goes on where it was; to start over, remove its folder.
    """
    size = QUICK if quick else FULL
    folder = out or RUNS / ("demo-quick" if quick else "demo")
    folder.mkdir(parents=True, exist_ok=True)
    say(f"The whole loop on the digital twin, into {folder}: {size.budget}.", "bold")
    if quick:
        say("--quick: the policy will be under-trained and mostly fail; `ebt demo` trains a good one.", "yellow")
    _Demo(size, folder).run()
    if quick:
        say("under-trained on purpose (--quick)", "yellow")


class _Demo:
    """The stages, each of which finds what an earlier run of it left."""

    def __init__(self, size: Size, folder: Path) -> None:
        self._size = size
        self._folder = folder
        self._episodes = folder / "episodes"
        self._run = folder / "run"
        self._calibration = self._run / "calibration.json"
        self._began_s = monotonic()

    def run(self) -> None:
        self._collect()
        self._train()
        self._calibrate()
        policy = self._evaluate()
        controls = self._controls()
        retries, false_retries = self._retries()
        self._show()
        self._say("done", f"look at it: ebt inspect {self._folder / 'rollouts'}")
        result_table(("what", "success", "interval_95"), [*map(_row, (policy, *controls, *retries))])
        result_table(("false retries", "of"), [false_retries])
        typer.echo(_rate(policy[1]))

    def _collect(self) -> None:
        from ebt_cli.collect import Operator, record
        from ebt_hardware.config import load_bench
        from ebt_recipes.collect import CollectPlan
        from ebt_recipes.recording import Limits

        self._say("1/5", f"collect {self._size.demonstrations} demonstrations: a script moves the twin's leader arm")
        plan = CollectPlan(self._size.demonstrations, Limits(LONGEST_S))
        record(load_bench(BENCH), Operator.LEADER, self._episodes, plan)

    def _train(self) -> None:
        from ebt_cli.train import fit
        from ebt_recipes.recipe import load_recipe

        self._say("2/5", f"train {RECIPE} for {duration(self._size.train_s)} on two cameras and joints")
        done = self._folder / "trained"
        if done.exists():
            say("trained already")
            return
        resume = (self._run / "resume.safetensors").is_file()
        fit(load_recipe(RECIPE), self._episodes, self._run, resume, self._size.train_s)
        done.touch()

    def _calibrate(self) -> None:
        from ebt_recipes.calibrate import Stream, calibrate
        from ebt_recipes.rollouts import Trained

        self._say("3/5", f"learn what energy is normal from the successes among {self._size.calibrate} rollouts")
        found = self._tally("calibrate", Trained(self._run), CALIBRATE, self._size.calibrate)
        good = [line for line in found if line["outcome"] == "success"]
        if not good:
            say("no rollout succeeded: energy is shown without a threshold, and nothing is retried", "yellow")
            self._calibration.unlink(missing_ok=True)
            return
        streams = [Stream(f"seed {line['seed']}", tuple(line["times_s"]), tuple(line["scores"])) for line in good]
        band = calibrate(streams)
        band.save(self._calibration)
        say(band.warning, "yellow")

    def _evaluate(self) -> tuple[str, "Sequence[Line]"]:
        from ebt_recipes.rollouts import Trained

        self._say("4/5", f"roll out on {self._size.rollouts} fresh scenes, then the controls")
        return "policy", self._tally("policy", Trained(self._run), EVALUATE, self._size.rollouts)

    def _controls(self) -> list[tuple[str, "Sequence[Line]"]]:
        from ebt_data.episode import list_episodes
        from ebt_recipes.rollouts import MeanDemonstration, Trained

        controls: list[tuple[str, MakeAgent]] = [
            ("cameras blacked out", Trained(self._run, blindfolded=True)),
            ("mean demonstration replayed", MeanDemonstration(tuple(list_episodes(self._episodes)))),
            ("zero descent steps", Trained(self._run, steps=0)),
        ]
        return [(name, self._tally(name, make, EVALUATE, self._size.controls)) for name, make in controls]

    def _retries(self) -> tuple[list[tuple[str, "Sequence[Line]"]], tuple[int, int]]:
        """Paired rollouts with the cube knocked out of the grip, and retries where nothing was disturbed."""
        from ebt_recipes.retry import RetryRules
        from ebt_recipes.rollouts import Trained

        if not self._calibration.is_file():
            return [], (0, 0)
        watched = Trained(self._run, calibration=self._calibration)
        retrying = Trained(self._run, calibration=self._calibration, retry=RetryRules())
        number = self._size.disturbed
        pairs = [
            ("knocked from the grip, with retry", self._tally("knocked, with retry", retrying, DISTURB, number, True)),
            ("knocked from the grip, without", self._tally("knocked, without", watched, DISTURB, number, True)),
        ]
        clean = self._tally("clean, with retry", retrying, CLEAN, number)
        return pairs, (sum(line["attempts"] > 1 for line in clean), len(clean))

    def _show(self) -> None:
        """Two recorded rollouts on the deploy screen, the cube knocked out of the grip, and a picture of the first."""
        from ebt_cli.deploy import Session, watched
        from ebt_cli.plot import plot_episode
        from ebt_data.episode import Episode
        from ebt_hardware.config import load_bench
        from ebt_recipes.checkpoint import load_run
        from ebt_recipes.policy import EnergyPolicy

        self._say("5/5", "two of the knocked rollouts again, recorded, with their energy on screen")
        out, table = self._folder / "rollouts", load_bench(BENCH)
        policy = EnergyPolicy(load_run(self._run), table.spec)
        agent = watched(policy, self._run, table.spec)
        done = Session(table, self._run, "knock", LONGEST_S).roll_out(agent, range(DISTURB, DISTURB + 2), out)
        for result in done.results[:1]:
            if result.path is not None:
                with Episode(result.path) as episode:
                    plot_episode(episode, result.path.name, self._folder / "rollout.png")
                say(f"drawn to {self._folder / 'rollout.png'}")

    def _tally(
        self, name: str, make: "MakeAgent", first_seed: int, number: int, knocked: bool = False
    ) -> "Sequence[Line]":
        from ebt_cli.tally import tally
        from ebt_recipes.disturbance import DisturbanceRule, Lifted
        from ebt_recipes.recording import Limits
        from ebt_recipes.rollouts import Trial

        rule = DisturbanceRule("knock", Lifted("cube")) if knocked else None
        trial = Trial(BENCH, make, Limits(LONGEST_S), rule)
        file = self._folder / f"{name.replace(' ', '_').replace(',', '')}.jsonl"
        return tally(file, name, trial, range(first_seed, first_seed + number), self._run / "model.safetensors")

    def _say(self, stage: str, what: str) -> None:
        say(f"[{stage}] {what}  ({duration(monotonic() - self._began_s)} so far)", "bold")


def _rate(found: "Sequence[Line]") -> str:
    from ebt_cli.tally import successes
    from ebt_recipes.interval import wilson

    good = successes(found)
    return rate_line(good, len(found), *wilson(good, len(found)))


def _row(result: tuple[str, "Sequence[Line]"]) -> tuple[str, str, str]:
    """E.g. `policy`, `41/50`, `69-90 %`."""
    _, count, interval = _rate(result[1]).split(" ", 2)
    return result[0], count, interval.strip("()")
