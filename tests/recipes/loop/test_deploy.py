from pathlib import Path
from typing import cast

import numpy as np

from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, Decision, Observation, Outcome
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.emulator.protection import HardwareErrorBit
from ebt_recipes.loop.deploy import DeployPlan, deploy, deploy_reopening
from ebt_recipes.loop.interval import wilson
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor
from tests.recipes.loop.conftest import ROLLOUT, on_tick, rolled

EVENT_KINDS = ["rise", "hold", "back_off", "replan", "resume", "rise", "give_up"]


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


def test_a_retry_is_in_one_file_with_all_its_events(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    policy = EnergyPolicy(untrained, twin.spec)
    monitor = EnergyMonitor(ConformalThreshold((0.0,), (-1e6,), (1.0,), 0.0))  # every score is above it
    agent = Retrying(policy, monitor, twin.spec, RetryRules(retries=1))
    with Recorder(tmp_path, twin.spec) as recorder:
        summary = deploy(twin, agent, recorder, ROLLOUT, DeployPlan((1,), Limits(20.0)))
    (result,) = summary.results
    assert (result.why, result.attempts) == ("agent gave up", 2)
    with Episode(list_episodes(tmp_path)[0]) as episode:
        kinds = [event.kind for event in episode.events]
        assert [kind for kind in kinds if kind in EVENT_KINDS] == EVENT_KINDS
        assert episode.energy is not None
        assert set(episode.energy["attempt"]) == {1, 2}
        assert set(episode.energy["actor"]) == {"policy", "retry"}


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
        done = deploy_reopening(table.open, agent, recorder, ROLLOUT, plan, hooks_on)
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
        done = deploy_reopening(table.open, agent, recorder, ROLLOUT, DeployPlan((1,), Limits(5.0)), hooks_on)
    assert [result.outcome for result in done.results] == [Outcome.FAILURE]
