"""When an episode ends, and what is recorded of it, notes and pauses included."""

from dataclasses import replace
from pathlib import Path

import pytest

from ebt_data.errors import TaskFailed
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Event, Outcome, Step
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.collect import CollectPlan, collect
from ebt_recipes.loop.deploy import DeployPlan, deploy
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits, Tick
from ebt_recipes.training.checkpoint import Run
from tests.recipes.loop.conftest import (
    DEMO,
    ROLLOUT,
    SHORT,
    Climber,
    Finisher,
    Still,
    by_tick,
    collected,
    keys,
    put_cube_into_bin,
    rolled,
)


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
        summary = deploy(twin, Finisher(), recorder, ROLLOUT, plan, Hooks(on_step=move_cube))
    assert summary.results[0].outcome is Outcome.SUCCESS


def test_an_agent_that_is_done_ends_the_rollout(twin: Bench, tmp_path: Path) -> None:
    with Recorder(tmp_path, twin.spec) as recorder:
        summary = deploy(twin, Finisher(), recorder, ROLLOUT, DeployPlan((1,), Limits(5.0)))
    assert (summary.results[0].steps, summary.results[0].why) == (5, "agent done")
    assert summary.results[0].outcome is Outcome.FAILURE  # the cube is not in the bin


def test_the_screen_is_called_at_every_tick(twin: Bench, tmp_path: Path) -> None:
    ticks: list[Tick] = []
    hooks = Hooks(on_tick=ticks.append, command=keys(Command.SAVE))
    with Recorder(tmp_path, twin.spec) as recorder:
        collect(twin, Still(), recorder, tmp_path, DEMO, replace(SHORT, target=1), hooks)
    assert [(tick.episode, tick.target, tick.seed) for tick in ticks] == [(1, 1, 10)] * 3


def test_a_mark_is_an_event_of_its_row_and_does_not_end_the_episode(twin: Bench, tmp_path: Path) -> None:
    hooks = by_tick({5: Command.SAVE}, {2: Event("mark", "by the operator")})
    with Episode(collected(twin, tmp_path, hooks, Still())) as episode:
        assert len(episode) == 6
        assert [(event.row, event.text) for event in episode.events if event.kind == "mark"] == [(2, "by the operator")]


def test_a_note_in_a_pause_has_a_row_that_is_not_used_for_training(twin: Bench, tmp_path: Path) -> None:
    pressed = {3: Command.PAUSE, 5: Command.NOTE, 8: Command.PAUSE, 12: Command.SAVE}
    hooks = by_tick(pressed, {6: Event("note", "the phone rang")})
    with Episode(collected(twin, tmp_path, hooks, Climber())) as episode:
        assert [(event.row, event.text) for event in episode.events if event.kind == "note"] == [(4, "the phone rang")]
        assert (episode.pauses, episode.segments) == ([4, 5], [slice(0, 4), slice(5, 9)])
        assert (episode.action[4] == episode.action[3]).all(), "the arm is held"


def test_a_note_in_a_pause_is_kept_however_the_session_ends(twin: Bench, tmp_path: Path) -> None:
    def interrupt(tick: Tick) -> None:
        if tick.paused and tick.step.observation.time_s > 9.5 / twin.spec.rate_hz:
            raise KeyboardInterrupt

    hooks = replace(by_tick({2: Command.NOTE}, {4: Event("note", "too hot")}), on_tick=interrupt)
    with pytest.raises(KeyboardInterrupt):
        collected(twin, tmp_path, hooks, Still())
    with Episode(*list_episodes(tmp_path)) as episode:
        assert [event.text for event in episode.events if event.kind == "note"] == ["too hot"]


def test_an_episode_may_end_in_a_pause(twin: Bench, tmp_path: Path) -> None:
    results: list[EpisodeResult] = []
    hooks = replace(by_tick({2: Command.PAUSE, 42: Command.SAVE}, {}), report=results.append)
    with Episode(collected(twin, tmp_path, hooks, Still())) as episode:
        assert (len(episode), episode.pauses, episode.segments) == (4, [3], [slice(0, 3)])
    assert [result.seconds for result in results] == pytest.approx([2 / twin.spec.rate_hz])


def test_a_pause_that_starts_with_the_last_tick_delays_the_end(twin: Bench, tmp_path: Path) -> None:
    results: list[EpisodeResult] = []
    hooks = replace(by_tick({2: Command.NOTE, 9: Command.PAUSE}, {}), report=results.append)
    limits = Limits(max_seconds=3 / twin.spec.rate_hz)
    with Recorder(tmp_path, twin.spec) as recorder, pytest.raises(TaskFailed):
        collect(twin, Still(), recorder, tmp_path, DEMO, CollectPlan(1, limits, patience=1), hooks)
    assert [(result.steps, result.why, result.command) for result in results] == [(3, "time limit", Command.NONE)]


def test_a_pause_does_not_count_towards_the_time_limit(twin: Bench, tmp_path: Path) -> None:
    ticks: list[Tick] = []
    hooks = replace(by_tick({1: Command.PAUSE, 60: Command.PAUSE, 63: Command.SAVE}, {}), on_tick=ticks.append)
    with Episode(collected(twin, tmp_path, hooks, Still(), Limits(max_seconds=6 / twin.spec.rate_hz))) as episode:
        assert len(episode) == 5
    assert [tick.paused for tick in ticks] == [False] * 2 + [True] * 59 + [False] * 3
    period_s = 1 / twin.spec.rate_hz
    assert [tick.seconds for tick in ticks[:3]] == pytest.approx([0, period_s, period_s])
    assert ticks[-1].seconds == pytest.approx(3 * period_s)
