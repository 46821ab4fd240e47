from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from ebt_data.errors import MisuseError
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, Decision, Event, Observation, Outcome, Step
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_hardware.config.opening import TwinScene
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.emulator.protection import HardwareErrorBit
from ebt_hardware.twin.tasks.pick_place import BIN_M
from ebt_recipes.loop.deploy import DeployPlan, DeploySummary, deploy, deploy_reopening
from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule, check_disturbance
from ebt_recipes.loop.interval import wilson
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits, record_episode
from ebt_recipes.loop.score_log import ScoreLog
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor

EVENT_KINDS = ["rise", "hold", "back_off", "replan", "resume", "rise", "give_up"]
META = EpisodeMeta(kind="rollout", task="pick_place", bench="twin", policy="untrained")


class Finisher:
    """An agent that holds its pose and is done on its fifth decision."""

    def reset(self, observation: Observation) -> None:
        self.start, self.count = observation.position, 0

    def decide(self, observation: Observation) -> Decision:
        self.count += 1
        return Decision(self.start, Actor.POLICY, done=self.count == 5)


def put_cube_into_bin(twin: Bench) -> None:
    """Move the cube directly; the task still decides the success."""
    cube = cast(TwinScene, twin.scene).world.data.joint("cube")
    cube.qpos[:3] = (*BIN_M, 0.03)
    cube.qvel[:] = 0.0


def rolled(
    twin: Bench, run: Run, folder: Path, hooks: Hooks | None = None, seeds: tuple[int, ...] = (1,), seconds: float = 1.0
) -> DeploySummary:
    policy = EnergyPolicy(run, twin.spec)
    plan = DeployPlan(seeds, Limits(seconds))
    with Recorder(folder, twin.spec) as recorder:
        return deploy(twin, policy, recorder, META, plan, hooks)


def on_tick(number: int, command: Command) -> Callable[[], Command]:
    """The key is pressed once, on this tick of the session."""
    ticks = iter(range(1, 1_000_000))
    return lambda: command if next(ticks) == number else Command.NONE


def test_every_rollout_is_a_file_with_its_energies(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    summary = rolled(twin, untrained, tmp_path, seeds=(1, 2))
    assert [result.path for result in summary.results] == list_episodes(tmp_path)
    with Episode(list_episodes(tmp_path)[1]) as episode:
        assert (episode.outcome, episode.meta.seed, len(episode)) == (Outcome.FAILURE, 2, 20)
        assert episode.energy is not None
        assert np.isfinite(episode.energy["energy"][2:]).all()
        assert (episode.energy["attempt"] == 1).all()


def test_the_summary_counts_with_an_interval(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    hooks = Hooks(command=on_tick(5, Command.SAVE))
    summary = rolled(twin, untrained, tmp_path, hooks, seeds=(1, 2))
    assert [result.outcome for result in summary.results] == [Outcome.SUCCESS, Outcome.FAILURE]
    assert (summary.successes, summary.judged) == (1, 2)
    assert summary.interval == wilson(1, 2)
    assert [result.why for result in summary.results] == ["operator: save", "time limit"]


def test_redo_discards_and_stop_ends(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    results: list[EpisodeResult] = []
    presses = {3: Command.REDO, 8: Command.STOP}
    ticks = iter(range(1, 1000))
    hooks = Hooks(report=results.append, command=lambda: presses.get(next(ticks), Command.NONE))
    summary = rolled(twin, untrained, tmp_path, hooks, seeds=(1, 2, 3))
    assert [(result.seed, result.path is None) for result in results] == [(1, True), (1, False)]
    assert summary.stopped
    assert summary.judged == 0


def test_success_that_lasts_ends_a_rollout(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    def move_cube(step: Step) -> None:
        if step.observation.time_s == 0.0:
            put_cube_into_bin(twin)

    summary = rolled(twin, untrained, tmp_path, Hooks(on_step=move_cube), seconds=3.0)
    assert (summary.results[0].why, summary.successes) == ("success held", 1)
    assert 0.5 <= summary.results[0].seconds < 1.5


def test_an_agent_that_is_done_waits_for_the_success_to_last(twin: Bench, tmp_path: Path) -> None:
    def move_cube(step: Step) -> None:
        if step.observation.time_s == 0.0:
            put_cube_into_bin(twin)

    with Recorder(tmp_path, twin.spec) as recorder:
        plan = DeployPlan((1,), Limits(5.0))
        summary = deploy(twin, Finisher(), recorder, META, plan, Hooks(on_step=move_cube))
    assert summary.results[0].outcome is Outcome.SUCCESS


def test_a_disturbance_happens_once_per_episode_and_is_recorded(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    disturbance = Disturbance(DisturbanceRule("nudge", 0.3, once_lifted=False), twin)
    rolled(twin, untrained, tmp_path, Hooks(on_step=disturbance), seeds=(1, 2))
    for path in list_episodes(tmp_path):
        with Episode(path) as episode:
            (event,) = [event for event in episode.events if event.kind == "disturbance"]
            assert event.text == "nudge"
            assert event.time_s == pytest.approx(0.3)
            cube = episode.privileged["cube"]
            assert np.abs(cube[-1, :2] - cube[0, :2]).max() > 0.01


def test_a_disturbance_waits_until_the_object_is_in_the_grip(twin: Bench) -> None:
    heights: list[float] = []
    disturbance = Disturbance(DisturbanceRule("knock"), twin)

    def watch(step: Step) -> Event | None:
        event = disturbance(step)
        if event is not None:
            heights.append(float(step.observation.privileged["cube"][2]))
        return event

    leader = load_bench("twin").open_leader(twin)
    record_episode(twin, leader, 0, Limits(4.0), Hooks(on_step=watch), (1, 1), lambda _: None)
    assert heights == [pytest.approx(0.055, abs=0.006)]


def test_what_cannot_be_disturbed_is_refused_before_anything_moves() -> None:
    with pytest.raises(MisuseError, match="pick_place has no disturbance 'earthquake'") as caught:
        check_disturbance(load_bench("twin"), "earthquake")
    assert caught.value.hint == "choose knock or nudge or move_goal"
    with pytest.raises(MisuseError, match="Only a twin"):
        check_disturbance(load_bench("koch"), "knock")
    check_disturbance(load_bench("twin_live"), "nudge")


def test_a_real_bench_is_not_disturbed(twin: Bench) -> None:
    twin.rig = replace(twin.rig, scene=None)
    with pytest.raises(MisuseError, match="Only a twin"):
        Disturbance(DisturbanceRule("nudge", 0.0, once_lifted=False), twin)


def test_an_agent_that_is_done_ends_the_rollout(twin: Bench, tmp_path: Path) -> None:
    with Recorder(tmp_path, twin.spec) as recorder:
        summary = deploy(twin, Finisher(), recorder, META, DeployPlan((1,), Limits(5.0)))
    assert (summary.results[0].steps, summary.results[0].why) == (5, "agent done")
    assert summary.results[0].outcome is Outcome.FAILURE  # the cube is not in the bin


def test_a_retry_is_in_one_file_with_all_its_events(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    policy = EnergyPolicy(untrained, twin.spec)
    monitor = EnergyMonitor(ConformalThreshold((0.0,), (-1e6,), (1.0,), 0.0))  # every score is above it
    agent = Retrying(policy, monitor, twin.spec, RetryRules(retries=1))
    with Recorder(tmp_path, twin.spec) as recorder:
        summary = deploy(twin, agent, recorder, META, DeployPlan((1,), Limits(20.0)))
    (result,) = summary.results
    assert (result.why, result.attempts) == ("agent gave up", 2)
    with Episode(list_episodes(tmp_path)[0]) as episode:
        kinds = [event.kind for event in episode.events]
        assert [kind for kind in kinds if kind in EVENT_KINDS] == EVENT_KINDS
        assert episode.energy is not None
        assert set(episode.energy["attempt"]) == {1, 2}
        assert set(episode.energy["actor"]) == {"policy", "retry"}


def test_a_score_log_keeps_the_scores_of_successes_in_order(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    policy = EnergyPolicy(untrained, twin.spec, score="energy+jump")
    score_log, saving = ScoreLog(), on_tick(19, Command.SAVE)
    hooks = Hooks(command=saving, on_step=score_log.record_step, report=score_log.end_episode)
    with Recorder(tmp_path, twin.spec) as recorder:
        deploy(twin, policy, recorder, META, DeployPlan((1, 2), Limits(1.0)), hooks)
    (series,) = score_log.series
    assert series.name == list_episodes(tmp_path)[0].name
    assert series.times_s == pytest.approx((0.1, 0.3, 0.5, 0.7, 0.9))
    energies, jumps = zip(*series.scores, strict=True)
    assert jumps[0] == 0 and all(jump > 0 for jump in jumps[1:])
    with Episode(list_episodes(tmp_path)[0]) as episode:
        energy = episode.energy
        assert energy is not None
        fresh = np.isfinite(energy["trace"]).any(axis=1)
        assert energies == pytest.approx(energy["score"][fresh].tolist())


class Overloading:
    """Holds its pose; in the first rollout a motor of the twin shuts down on its fifth decision."""

    def __init__(self) -> None:
        self.rollouts = 0
        self.bench: Bench | None = None

    def reset(self, observation: Observation) -> None:
        self.start, self.count = observation.position, 0
        self.rollouts += 1

    def decide(self, observation: Observation) -> Decision:
        self.count += 1
        if (self.rollouts, self.count) == (1, 5):
            assert self.bench is not None
            emulator = cast(LoopbackPort, self.bench.rig.followers[0].bus.port).emulator
            emulator.raise_error(min(emulator.motors), HardwareErrorBit.OVERLOAD)
        return Decision(self.start, Actor.POLICY, done=self.count == 20)


def test_an_overloaded_motor_of_the_twin_fails_its_rollout_and_the_next_one_runs(tmp_path: Path) -> None:
    table, agent = load_bench("twin_state"), Overloading()

    def hooks_on(bench: Bench) -> Hooks:
        agent.bench = bench
        return Hooks()

    with Recorder(tmp_path, table.spec) as recorder:
        plan = DeployPlan(range(1, 3), Limits(5.0))
        done = deploy_reopening(table.open, agent, recorder, META, plan, hooks_on)
    first, second = done.results
    assert (first.seed, first.outcome, first.why[:6]) == (1, Outcome.FAILURE, "fault:")
    assert (second.seed, second.outcome, second.why) == (2, Outcome.FAILURE, "agent done")
    assert (done.judged, done.stopped) == (2, False)
    for path, result in zip(list_episodes(tmp_path), done.results, strict=True):
        with Episode(path) as episode:
            assert (episode.complete, episode.outcome, len(episode)) == (True, Outcome.FAILURE, result.steps)


def test_an_overload_in_the_last_rollout_ends_the_session_with_its_result(tmp_path: Path) -> None:
    table, agent = load_bench("twin_state"), Overloading()

    def hooks_on(bench: Bench) -> Hooks:
        agent.bench = bench
        return Hooks()

    with Recorder(tmp_path, table.spec) as recorder:
        done = deploy_reopening(table.open, agent, recorder, META, DeployPlan((1,), Limits(5.0)), hooks_on)
    assert [result.outcome for result in done.results] == [Outcome.FAILURE]
