"""`ebt deploy`: roll a policy out on a bench and watch its energy."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebt_cli.session import rate_line
from ebt_cli.terminal.completion import DAY_S, LAST_SEED, LONGEST, ROLLOUTS, complete_bench, complete_run, task_option
from ebt_cli.terminal.console import bell, listed, near, result_table, say
from ebt_data.errors import MisuseError, TaskFailed

if TYPE_CHECKING:
    from ebt_data.agent import Agent
    from ebt_data.step import BenchSpec
    from ebt_hardware.bench.bench import Bench
    from ebt_hardware.config.benches import DynamixelBench, TwinBench
    from ebt_recipes.loop.deploy import DeploySummary
    from ebt_recipes.loop.recording import EpisodeResult, Hooks
    from ebt_recipes.loop.score_log import ScoreLog
    from ebt_recipes.policy.energy_policy import EnergyPolicy
    from ebt_recipes.retry.retry import RetryRules
    from ebt_recipes.training.checkpoint import Run
    from ebt_recipes.uncertainty.conformal import Calibration

CALIBRATION = "calibration.json"
"""Beside the run's checkpoint; the rollouts it was made from lie in the folder `calibration` there."""
WATCHED = "energy+elapsed"
"""Calls nearly every failure, most of them early, for no more false alarms than either alone (docs/benchmarks.md)."""
Score = Annotated[
    str, typer.Option(metavar="NAME[+NAME]", help=f"With --calibrate: what to watch, {WATCHED} where left out.")
]
Alpha = Annotated[
    float | None, typer.Option(metavar="RATE", help="With --calibrate: false alarms per episode, 0.05 where left out.")
]
Seconds = Annotated[
    float | None, typer.Option(min=1, max=DAY_S, help="Longest rollout, retries and all.", show_default=LONGEST)
]


def deploy(
    run: Annotated[Path, typer.Argument(help="A trained run, e.g. data/runs/pick_place.", autocompletion=complete_run)],
    bench: Annotated[str, typer.Option(help="Bench file, by name or path.", autocompletion=complete_bench)] = "twin",
    task: Annotated[str | None, task_option("the run's on the twin, else the bench file's")] = None,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Rollouts.")] = 10,
    seed: Annotated[
        int, typer.Option(min=0, max=LAST_SEED, help="Of the first scene, where a twin lays it out.")
    ] = 100_000,
    out: Annotated[Path, typer.Option(help="Folder the rollouts are saved to.")] = ROLLOUTS,
    retry: Annotated[bool, typer.Option("--retry/--no-retry", help="Back off and try again when energy rises.")] = True,
    calibrate: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Make N rollouts bare, learn the normal band from the successes, stop."),
    ] = 0,
    score: Score = "",
    alpha: Alpha = None,
    retries: Annotated[int, typer.Option(metavar="N", min=1, help="Retries in a rollout; the next rise ends it.")] = 2,
    go_on: Annotated[bool, typer.Option("--go-on", help="After the last retry carry on, unwatched.")] = False,
    seconds: Seconds = None,
    compile_plans: Annotated[
        bool, typer.Option("--compile", help="Compile the planner first: up to a minute for a third off a plan's time.")
    ] = False,
    disturb: Annotated[
        str, typer.Option(metavar="KIND", help="Twin only: disturb the scene once the object is lifted, e.g. knock.")
    ] = "",
) -> None:
    """Roll a policy out, with its energy on screen, and try again when the energy rises.

    Keys while it runs: s it worked, d it failed, r redo, m mark, q stop.
    Example: ebt deploy data/runs/pick_place -n 10
    """
    # So small a network is slower on several threads, and they would take the loop's core. Read when torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ebt_hardware.config.benches import load_bench
    from ebt_recipes.loop.deploy import for_run, other_task
    from ebt_recipes.loop.disturbance import check_disturbance
    from ebt_recipes.policy.energy_policy import EnergyPolicy
    from ebt_recipes.retry.retry import RetryRules
    from ebt_recipes.training.checkpoint import load_run

    _agree(run, calibrate, disturb, score, alpha)
    if go_on and not retry:
        raise MisuseError("--go-on says what comes after the last retry, and --no-retry has none", "leave one out")
    trained = load_run(run)
    table = for_run(load_bench(bench), trained, task)
    if disturb:
        check_disturbance(table, disturb)
    say(other_task(table.spec, trained), "yellow")
    band = None if calibrate else load_known_calibration(run)
    shown = band.score if band is not None else score or _usual_score(trained, calibrate > 0)
    policy = EnergyPolicy(trained, table.spec, seed=seed, score=shown)
    if compile_plans:
        say("compiling the planner ...")
        say(policy.compile())
    session = Session(table, run, shown, disturb, seconds)
    try:
        if calibrate:
            _calibrate(session, policy, run, range(seed, seed + calibrate), alpha or 0.05)
        else:
            rules = RetryRules(retries if retry else 0, go_on)
            agent = watched(policy, run, band, table.spec, rules, session.veto)
            _show(session.roll_out(agent, range(seed, seed + episodes), out))
            say(f"what they say: ebt inspect {near(out)}", "cyan")
    finally:
        policy.close()


def _agree(run: Path, calibrate: int, disturb: str, score: str, alpha: float | None) -> None:
    """Refuse what cannot be meant, before anything is done."""
    if disturb and calibrate:
        raise MisuseError("--calibrate learns what is normal, so nothing may be disturbed", "leave out --disturb")
    if score and not calibrate:
        hint = f"ebt deploy {run} --calibrate 100 --score {score}"
        raise MisuseError("--score is chosen when a run is calibrated", hint)
    if alpha is not None and not calibrate:
        raise MisuseError(
            "--alpha is promised when a run is calibrated", f"ebt deploy {run} --calibrate 100 --alpha {alpha:g}"
        )
    if alpha is not None and not 0 < alpha < 1:
        raise MisuseError(f"--alpha {alpha:g} is no rate: expected one between 0 and 1", "--alpha 0.05")


class Session:
    """The deploy screen and the operator's keys around one call of the procedure."""

    def __init__(
        self,
        table: "TwinBench | DynamixelBench",
        run: Path,
        score: str,
        disturb: str = "",
        longest_s: float | None = None,
    ) -> None:
        """`score` is the name of what is watched; a rollout takes `longest_s` at most, else as long as the bench says."""
        from ebt_cli.session import Desk
        from ebt_hardware.teleop.keys import TerminalKeys
        from ebt_recipes.loop.recording import Limits

        self._table, self._run, self._score, self._disturb = table, run, score, disturb
        self._limits = Limits(longest_s or table.longest_s)
        self._keys = TerminalKeys()
        self._desk = Desk(self._keys.poll)

    @property
    def veto(self) -> Callable[[], bool] | None:
        """Any key stops a retry on a real bench; on the twin nobody has to be asked."""
        return None if self._table.spec.sim else self._desk.veto

    def roll_out(self, agent: "Agent", seeds: range, out: Path, score_log: "ScoreLog | None" = None) -> "DeploySummary":
        """One recorded rollout a seed; a score_log hears what its plans score."""
        from ebt_cli.screens.deploy_screen import DeployView
        from ebt_cli.screens.live import Painter
        from ebt_cli.session import hooks, repair_first, say_stand_ins, versions
        from ebt_data.files.atomic_files import RESERVE_BYTES, make_ready
        from ebt_data.meta import EpisodeMeta
        from ebt_data.recording.recorder import Recorder
        from ebt_recipes.loop.deploy import DeployPlan
        from ebt_recipes.loop.deploy import deploy as procedure

        spec = self._table.spec
        make_ready(out, RESERVE_BYTES / 1e6, "recording")
        repair_first(out)
        say_stand_ins(spec)
        plan = DeployPlan(tuple(seeds) if spec.sim else (None,) * len(seeds), self._limits)
        meta = EpisodeMeta("rollout", spec.task, bench=spec.name, policy=str(self._run), versions=versions())
        with self._keys:
            view = DeployView("ebt deploy", spec, keys=self._keys.active, score=self._score)
            with Painter(view) as painter, Recorder(out, spec) as recorder, self._table.open() as bench:
                bell()
                meta, view.health = replace(meta, calibration=bench.calibration), bench.health
                obeyed = _disturbed(hooks(view, painter, self._desk), self._disturb, bench)
                if score_log is not None:
                    obeyed = _heard(obeyed, score_log)
                return procedure(bench, agent, recorder, meta, plan, obeyed)


def _disturbed(hooks: "Hooks", kind: str, bench: "Bench") -> "Hooks":
    from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule

    return replace(hooks, on_step=Disturbance(DisturbanceRule(kind), bench)) if kind else hooks


def _heard(hooks: "Hooks", score_log: "ScoreLog") -> "Hooks":
    def report(result: "EpisodeResult") -> None:
        score_log.end_episode(result)
        hooks.report(result)

    return replace(hooks, on_step=score_log.record_step, report=report)


def _usual_score(trained: "Run", calibrate: bool) -> str:
    """The energy, or of a run without one whatever it offers first; that is calibrated only where it is asked for."""
    from ebt_recipes.uncertainty.scores import offered

    known = offered(trained.model, trained.reference)
    usual = known[0]
    if not calibrate:
        return usual
    if usual != "energy":
        kind = trained.recipe.objective.kind
        raise MisuseError(
            f"{trained.path} was trained by {kind} and has no energy: there is no normal one to learn",
            hint=f"add --score, one of {', '.join(known)}, or train a recipe with an energy",
        )
    return WATCHED


def load_known_calibration(run: Path) -> "Calibration | None":
    """What is normal for the run; None while it is not calibrated."""
    from ebt_recipes.uncertainty.conformal import Calibration

    path = run / CALIBRATION
    return Calibration.load(path) if path.is_file() else None


def watched(
    policy: "EnergyPolicy",
    run: Path,
    band: "Calibration | None",
    spec: "BenchSpec",
    rules: "RetryRules",
    veto: Callable[[], bool] | None = None,
) -> "Agent":
    """The policy under its monitor, and what to say about how far that is to be trusted."""
    from ebt_recipes.retry.retry import Retrying
    from ebt_recipes.uncertainty.monitor import EnergyMonitor

    if band is not None:
        monitor = band.monitor()
        say(band.warning, "yellow")
    else:
        monitor = EnergyMonitor(None)
        say(f"no {run / CALIBRATION}: nothing is known of normal energy, so nothing is retried", "yellow")
        if policy.score == "energy":
            say(f"hint: ebt deploy {run} --calibrate 100", "cyan")
    return Retrying(policy, monitor, spec, rules, veto)


def _calibrate(session: Session, policy: "EnergyPolicy", run: Path, seeds: range, alpha: float) -> None:
    from ebt_recipes.loop.score_log import ScoreLog
    from ebt_recipes.uncertainty.conformal import calibrate

    score_log = ScoreLog()
    done = session.roll_out(policy, seeds, run / "calibration", score_log)
    if not done.successes:
        raise TaskFailed(
            f"none of {done.judged} rollouts succeeded: there is no normal {policy.score} to learn",
            hint=f"train longer or on more demonstrations, then ebt deploy {run} --calibrate 100",
        )
    found = calibrate(score_log.streams, alpha, policy.score)
    found.save(run / CALIBRATION)
    columns = ("score", "successes", "of", "counted", "false_alarms_per_episode", "spreads_allowed", "file")
    row = (found.score, found.n, done.judged, found.counted, found.rate, f"{found.k:.3g}", run / CALIBRATION)
    result_table(columns, [row])
    say(found.warning, "yellow")


def _show(done: "DeploySummary") -> None:
    columns = ("rollout", "seed", "outcome", "why", "seconds", "attempts", "file")
    result_table(
        columns,
        ((r.episode, r.seed, r.outcome, r.why, f"{r.seconds:.1f}", r.attempts, listed(r.path)) for r in done.results),
    )
    say(rate_line(done.successes, done.judged, *done.interval))
    if done.stopped:
        say("stopped before the last rollout", "yellow")
