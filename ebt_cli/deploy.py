"""`ebt deploy`: roll out a policy on a bench and monitor its energy."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebt_cli.session import rate_line
from ebt_cli.terminal.completion import (
    DAY_S,
    LAST_SEED,
    LONGEST,
    MOST_EPISODES,
    MOST_RETRIES,
    ROLLOUTS,
    check_seeds,
    complete_bench,
    complete_run,
    task_option,
)
from ebt_cli.terminal.console import bell, notify, result_table, short_path, table_path
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
"""Beside the run's checkpoint; the rollouts that it was computed from are in the folder `calibration` there."""
DEFAULT_SCORE = "energy+elapsed"
"""Detects nearly every failure, most of them early, at no more false alarms than either alone (docs/benchmarks)."""
Score = Annotated[
    str,
    typer.Option(metavar="NAME[+NAME]", help=f"With --calibrate: the score to monitor, {DEFAULT_SCORE} if omitted."),
]
Alpha = Annotated[
    float | None, typer.Option(metavar="RATE", help="With --calibrate: false alarms per episode, 0.05 if omitted.")
]
Calibrate = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        max=MOST_EPISODES,
        help="Make N rollouts without retries, compute the alarm threshold from the successful ones, and exit.",
    ),
]
Retries = Annotated[
    int, typer.Option(metavar="N", min=1, max=MOST_RETRIES, help="Retries in a rollout; the next alarm ends it.")
]
Seconds = Annotated[
    float | None, typer.Option(min=1, max=DAY_S, help="Longest rollout, retries included.", show_default=LONGEST)
]


def deploy(
    run: Annotated[Path, typer.Argument(help="A trained run, e.g. data/runs/pick_place.", autocompletion=complete_run)],
    bench: Annotated[str, typer.Option(help="Bench file, by name or path.", autocompletion=complete_bench)] = "twin",
    task: Annotated[str | None, task_option("the run's on the twin, else the bench file's")] = None,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, max=MOST_EPISODES, help="Rollouts.")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Seed of the first scene on the twin.")] = 100_000,
    out: Annotated[Path, typer.Option(help="Folder the rollouts are saved to.")] = ROLLOUTS,
    retry: Annotated[bool, typer.Option("--retry/--no-retry", help="Back off and try again after an alarm.")] = True,
    calibrate: Calibrate = 0,
    score: Score = "",
    alpha: Alpha = None,
    retries: Retries = 2,
    go_on: Annotated[bool, typer.Option("--go-on", help="After the last retry continue without the monitor.")] = False,
    seconds: Seconds = None,
    compile_plans: Annotated[
        bool, typer.Option("--compile", help="Compile the planner first: up to a minute, for a third less latency.")
    ] = False,
    disturb: Annotated[
        str, typer.Option(metavar="KIND", help="Twin only: disturb the scene once the object is lifted, e.g. knock.")
    ] = "",
) -> None:
    """Roll out a policy with live energy; back off and replan when it rises above the threshold (set by --calibrate).

    Keys while it runs: s success, d failure, r redo, m mark, q stop.
    Example: ebt deploy data/runs/pick_place -n 10
    """
    # A network this small is slower on several threads, and they would take the loop's core. Read on importing torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ebt_hardware.config.benches import load_bench
    from ebt_recipes.loop.deploy import bench_for_run, task_mismatch
    from ebt_recipes.loop.disturbance import check_disturbance
    from ebt_recipes.policy.energy_policy import EnergyPolicy
    from ebt_recipes.training.checkpoint import load_run

    _check_options(run, calibrate, disturb, score, alpha)
    rules = _retry_rules(retry, retries, go_on)
    check_seeds(seed, calibrate or episodes)
    trained = load_run(run)
    table = bench_for_run(load_bench(bench), trained, task)
    if disturb:
        check_disturbance(table, disturb)
    notify(task_mismatch(table.spec, trained), "yellow")
    calibration = None if calibrate else load_calibration(run)
    monitored = calibration.score if calibration is not None else score or _default_score(trained, calibrate > 0)
    policy = EnergyPolicy(trained, table.spec, seed=seed, score=monitored)
    if compile_plans:
        notify("compiling the planner ...")
        notify(policy.compile())
    session = Session(table, run, monitored, disturb, seconds)
    try:
        if calibrate:
            _calibrate(session, policy, run, range(seed, seed + calibrate), alpha or 0.05)
        else:
            agent = with_monitor(policy, run, calibration, table.spec, rules, session.veto)
            _show(session.roll_out(agent, range(seed, seed + episodes), out))
            notify(f"inspect the rollouts: ebt inspect {short_path(out)}", "cyan")
    finally:
        policy.close()


def _check_options(run: Path, calibrate: int, disturb: str, score: str, alpha: float | None) -> None:
    """Refuse options that contradict each other before anything is done."""
    if disturb and calibrate:
        raise MisuseError("--calibrate needs undisturbed rollouts", "leave out --disturb")
    if score and not calibrate:
        hint = f"ebt deploy {run} --calibrate 100 --score {score}"
        raise MisuseError("--score applies only to --calibrate", hint)
    if alpha is not None and not calibrate:
        raise MisuseError("--alpha applies only to --calibrate", f"ebt deploy {run} --calibrate 100 --alpha {alpha:g}")
    if alpha is not None and not 0 < alpha < 1:
        raise MisuseError(f"--alpha {alpha:g} is no rate: expected one between 0 and 1", "--alpha 0.05")


def _retry_rules(retry: bool, retries: int, go_on: bool) -> "RetryRules":
    from ebt_recipes.retry.retry import RetryRules

    if go_on and not retry:
        raise MisuseError("--go-on applies after the last retry, and --no-retry has none", "leave one out")
    return RetryRules(retries if retry else 0, go_on)


class Session:
    """The deploy screen and the operator's keys around one call of `ebt_recipes.loop.deploy`."""

    def __init__(
        self,
        table: "TwinBench | DynamixelBench",
        run: Path,
        score: str,
        disturb: str = "",
        longest_s: float | None = None,
    ) -> None:
        """`score` names the monitored score; a rollout lasts `longest_s` at most, the bench's limit if omitted."""
        from ebt_cli.session import OperatorKeys
        from ebt_hardware.teleop.keys import TerminalKeys
        from ebt_recipes.loop.recording import Limits

        self._table, self._run, self._score, self._disturb = table, run, score, disturb
        self._limits = Limits(longest_s or table.longest_s)
        self._terminal = TerminalKeys()
        self._keys = OperatorKeys(self._terminal.poll)

    @property
    def veto(self) -> Callable[[], bool] | None:
        """Any key stops a retry on a real bench; the twin retries without asking."""
        return None if self._table.spec.sim else self._keys.veto

    def roll_out(self, agent: "Agent", seeds: range, out: Path, score_log: "ScoreLog | None" = None) -> "DeploySummary":
        """One recorded rollout a seed; `score_log` records the scores of its plans."""
        from ebt_cli.screens.deploy_screen import DeployView
        from ebt_cli.screens.live import Painter
        from ebt_cli.session import hooks, repair_first, report_fallbacks, versions
        from ebt_data.files.atomic_files import RESERVE_BYTES, prepare_folder
        from ebt_data.meta import EpisodeMeta
        from ebt_data.recording.recorder import Recorder
        from ebt_recipes.loop.deploy import DeployPlan, deploy_reopening

        spec = self._table.spec
        prepare_folder(out, RESERVE_BYTES / 1e6, "recording")
        repair_first(out)
        report_fallbacks(spec)
        plan = DeployPlan(seeds if spec.sim else (None,) * len(seeds), self._limits)
        meta = EpisodeMeta("rollout", spec.task, bench=spec.name, policy=str(self._run), versions=versions())
        with self._terminal:
            view = DeployView("ebt deploy", spec, keys=self._terminal.active, score=self._score)
            with Painter(view) as painter, Recorder(out, spec) as recorder:

                def hooks_on(bench: "Bench") -> "Hooks":
                    bell()
                    view.health = bench.health
                    own = _disturbing(hooks(view, painter, self._keys), self._disturb, bench)
                    return own if score_log is None else _recording_scores(own, score_log)

                return deploy_reopening(self._table.open, agent, recorder, meta, plan, hooks_on)


def _disturbing(hooks: "Hooks", kind: str, bench: "Bench") -> "Hooks":
    from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule

    return replace(hooks, on_step=Disturbance(DisturbanceRule(kind), bench)) if kind else hooks


def _recording_scores(hooks: "Hooks", score_log: "ScoreLog") -> "Hooks":
    def report(result: "EpisodeResult") -> None:
        score_log.end_episode(result)
        hooks.report(result)

    return replace(hooks, on_step=score_log.record_step, report=report)


def _default_score(trained: "Run", calibrate: bool) -> str:
    """The energy, or the first score that a run without one offers; such a run is calibrated only with --score."""
    from ebt_recipes.uncertainty.scores import available_scores

    scores = available_scores(trained.model, trained.reference)
    if not calibrate:
        return scores[0]
    if scores[0] != "energy":
        kind = trained.recipe.objective.kind
        raise MisuseError(
            f"{trained.path} was trained by {kind} and has no energy to calibrate",
            hint=f"add --score, one of {', '.join(scores)}, or train a recipe with an energy",
        )
    return DEFAULT_SCORE


def load_calibration(run: Path) -> "Calibration | None":
    """The run's conformal thresholds; None while it is not calibrated."""
    from ebt_recipes.uncertainty.conformal import Calibration

    path = run / CALIBRATION
    return Calibration.load(path) if path.is_file() else None


def with_monitor(
    policy: "EnergyPolicy",
    run: Path,
    calibration: "Calibration | None",
    spec: "BenchSpec",
    rules: "RetryRules",
    veto: Callable[[], bool] | None = None,
) -> "Agent":
    """The policy under its monitor; prints a warning where the false-alarm rate cannot be guaranteed."""
    from ebt_recipes.retry.retry import Retrying
    from ebt_recipes.uncertainty.monitor import EnergyMonitor

    if calibration is not None:
        monitor = calibration.monitor()
        notify(calibration.warning, "yellow")
    else:
        monitor = EnergyMonitor(None)
        notify(f"no {run / CALIBRATION}: without thresholds there are no alarms and no retries", "yellow")
        if policy.score == "energy":
            notify(f"hint: ebt deploy {run} --calibrate 100", "cyan")
    return Retrying(policy, monitor, spec, rules, veto)


def _calibrate(session: Session, policy: "EnergyPolicy", run: Path, seeds: range, alpha: float) -> None:
    from ebt_recipes.loop.score_log import ScoreLog
    from ebt_recipes.uncertainty.conformal import calibrate

    score_log = ScoreLog()
    done = session.roll_out(policy, seeds, run / "calibration", score_log)
    if not done.successes:
        raise TaskFailed(
            f"none of {done.judged} rollouts succeeded: there is nothing to calibrate {policy.score} on",
            hint=f"train longer or on more demonstrations, then ebt deploy {run} --calibrate 100",
        )
    result = calibrate(score_log.series, alpha, policy.score)
    result.save(run / CALIBRATION)
    columns = ("score", "successes", "of", "counted", "false_alarms_per_episode", "spreads_allowed", "file")
    row = (result.score, result.n, done.judged, result.counted, result.rate, f"{result.k:.3g}", run / CALIBRATION)
    result_table(columns, [row])
    notify(result.warning, "yellow")


def _show(done: "DeploySummary") -> None:
    columns = ("rollout", "seed", "outcome", "why", "seconds", "attempts", "file")
    result_table(
        columns,
        (
            (r.episode, r.seed, r.outcome, r.why, f"{r.seconds:.1f}", r.attempts, table_path(r.path))
            for r in done.results
        ),
    )
    notify(rate_line(done.successes, done.judged, *done.interval))
    if done.stopped:
        notify("stopped before the last rollout", "yellow")
