from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, count, repeat
from pathlib import Path

import numpy as np
import pytest

from ebt_data.agent import Agent
from ebt_data.errors import DataError, TaskFailed
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.reading.labels import add_label
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, Decision, Event, Observation, Outcome
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.collect import CollectPlan, CollectSummary, collect
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits, Tick

META = EpisodeMeta(kind="demo", task="pick_place", bench="twin")
SHORT = CollectPlan(target=2, limits=Limits(max_seconds=0.5), first_seed=10)


class Still:
    """An operator who does not move the leader arm; the keys decide the outcome."""

    def reset(self, observation: Observation) -> None:
        self.start = observation.position

    def decide(self, observation: Observation) -> Decision:
        return Decision(self.start, Actor.HUMAN)


def keys(*pressed: Command) -> Callable[[], Command]:
    """One key in each episode, on its third tick."""
    commands: Iterator[Command] = chain.from_iterable((Command.NONE, Command.NONE, key) for key in pressed)
    endless = chain(commands, repeat(Command.NONE))
    return lambda: next(endless)


def session(
    twin: Bench, folder: Path, plan: CollectPlan, *pressed: Command
) -> tuple[CollectSummary, list[EpisodeResult]]:
    results: list[EpisodeResult] = []
    hooks = Hooks(report=results.append, command=keys(*pressed))
    with Recorder(folder, twin.spec) as recorder:
        return collect(twin, Still(), recorder, folder, META, plan, hooks), results


def test_saved_demonstrations_are_complete_files(twin: Bench, tmp_path: Path) -> None:
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE, Command.SAVE)
    assert list(summary.kept) == list_episodes(tmp_path)
    assert [result.seed for result in results] == [10, 11]
    with Episode(summary.kept[0]) as episode:
        assert (episode.outcome, len(episode), episode.meta.seed) == (Outcome.SUCCESS, 3, 10)
        assert episode.complete
        assert episode.energy is None


def test_the_scene_of_an_interrupted_demonstration_is_repeated(twin: Bench, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path, twin.spec) as recorder:

        def interrupt(tick: Tick) -> None:
            if tick.seed == 11 and tick.step.observation.time_s > 0.1:
                raise KeyboardInterrupt

        hooks = Hooks(on_tick=interrupt, command=keys(Command.SAVE))
        collect(twin, Still(), recorder, tmp_path, META, SHORT, hooks)
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE)
    assert (summary.existing, [result.seed for result in results]) == (1, [11])


def test_a_discarded_demonstration_is_followed_by_a_new_scene(twin: Bench, tmp_path: Path) -> None:
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE, Command.DISCARD, Command.SAVE)
    assert [result.seed for result in results] == [10, 11, 12]
    assert (len(list_episodes(tmp_path)), summary.discarded) == (2, 1)


def by_tick(pressed: dict[int, Command], notes: dict[int, Event]) -> Hooks:
    """Keys and notes by the tick of the session, from 0."""
    ticks, counted = count(), []

    def command() -> Command:
        counted.append(next(ticks))
        return pressed.get(counted[-1], Command.NONE)

    return Hooks(command=command, notes=lambda: (notes[counted[-1]],) if counted[-1] in notes else ())


def collected(twin: Bench, folder: Path, hooks: Hooks, agent: Agent, limits: Limits = SHORT.limits) -> Path:
    with Recorder(folder, twin.spec) as recorder:
        (path,) = collect(twin, agent, recorder, folder, META, replace(SHORT, target=1, limits=limits), hooks).kept
    return path


def test_a_mark_is_an_event_of_its_row_and_does_not_end_the_episode(twin: Bench, tmp_path: Path) -> None:
    hooks = by_tick({5: Command.SAVE}, {2: Event("mark", "by the operator")})
    with Episode(collected(twin, tmp_path, hooks, Still())) as episode:
        assert len(episode) == 6
        assert [(event.row, event.text) for event in episode.events if event.kind == "mark"] == [(2, "by the operator")]


class Climber:
    """An operator who raises one joint a little at each tick, from its pose at the reset."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self, observation: Observation) -> None:
        self.resets += 1
        self.goal = observation.position.copy()

    def decide(self, observation: Observation) -> Decision:
        self.goal = self.goal + np.float32(0.01) * (np.arange(len(self.goal)) == 0)
        return Decision(self.goal, Actor.HUMAN)


def test_in_a_pause_the_arm_is_held_and_nothing_is_recorded(twin: Bench, tmp_path: Path) -> None:
    climber = Climber()
    hooks = by_tick({3: Command.PAUSE, 8: Command.PAUSE, 12: Command.SAVE}, {})
    with Episode(collected(twin, tmp_path, hooks, climber)) as episode:
        ticks_s, period_s = episode.time["tick"], 1 / twin.spec.rate_hz
        # Rows 0 to 3, then 5 ticks in which nothing is recorded, then 4 more rows.
        assert np.diff(ticks_s) == pytest.approx([period_s] * 3 + [6 * period_s] + [period_s] * 3)
        step_rad = episode.action_asked[4, 0] - episode.action[3, 0]
        assert step_rad == pytest.approx(0.01, abs=1e-6), "it continues from the held goal"
        assert (episode.pauses, climber.resets) == ([4], 2)
        assert episode.stretches == [slice(0, 4), slice(4, 8)]
        (text,) = (event.text for event in episode.events if event.kind == "pause")
    assert text == f"of {6 * period_s:.1f} s before this row"


def test_a_note_in_a_pause_has_a_row_that_is_not_used_for_training(twin: Bench, tmp_path: Path) -> None:
    pressed = {3: Command.PAUSE, 5: Command.NOTE, 8: Command.PAUSE, 12: Command.SAVE}
    hooks = by_tick(pressed, {6: Event("note", "the phone rang")})
    with Episode(collected(twin, tmp_path, hooks, Climber())) as episode:
        assert [(event.row, event.text) for event in episode.events if event.kind == "note"] == [(4, "the phone rang")]
        assert (episode.pauses, episode.stretches) == ([4, 5], [slice(0, 4), slice(5, 9)])
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
        assert (len(episode), episode.pauses, episode.stretches) == (4, [3], [slice(0, 3)])
    assert [result.seconds for result in results] == pytest.approx([2 / twin.spec.rate_hz])


def test_a_pause_that_starts_with_the_last_tick_delays_the_end(twin: Bench, tmp_path: Path) -> None:
    results: list[EpisodeResult] = []
    hooks = replace(by_tick({2: Command.NOTE, 9: Command.PAUSE}, {}), report=results.append)
    limits = Limits(max_seconds=3 / twin.spec.rate_hz)
    with Recorder(tmp_path, twin.spec) as recorder, pytest.raises(TaskFailed):
        collect(twin, Still(), recorder, tmp_path, META, CollectPlan(1, limits, patience=1), hooks)
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


def test_redo_repeats_the_same_scene(twin: Bench, tmp_path: Path) -> None:
    _, results = session(twin, tmp_path, SHORT, Command.REDO, Command.SAVE, Command.SAVE)
    assert [result.seed for result in results] == [10, 10, 11]


def test_back_discards_the_previous_one_too_and_repeats_its_scene_first(twin: Bench, tmp_path: Path) -> None:
    pressed = (Command.SAVE, Command.SAVE, Command.BACK, Command.SAVE, Command.SAVE)
    summary, results = session(twin, tmp_path, replace(SHORT, target=3), *pressed, Command.SAVE)
    assert [result.seed for result in results] == [10, 11, 12, 11, 11, 12]
    assert [(result.episode, result.why) for result in results[2:4]] == [(3, "operator: back"), (2, "taken back")]
    assert [path.name for path in summary.kept] == [path.name for path in list_episodes(tmp_path)]
    assert (len(summary.kept), summary.discarded) == (3, 2)
    assert len(list_episodes(tmp_path / ".trash")) == 2


def test_back_on_the_first_one_is_a_redo(twin: Bench, tmp_path: Path) -> None:
    _, results = session(twin, tmp_path, SHORT, Command.BACK, Command.SAVE, Command.SAVE)
    assert [result.seed for result in results] == [10, 10, 11]


def test_an_excluded_demonstration_is_recorded_again(twin: Bench, tmp_path: Path) -> None:
    summary, _ = session(twin, tmp_path, SHORT, Command.SAVE, Command.SAVE)
    add_label(summary.kept[0], "exclude", True, "ada")
    add_label(summary.kept[1], "outcome", "failure", "ada")
    again, results = session(twin, tmp_path, SHORT, Command.SAVE, Command.SAVE)
    assert (again.existing, [result.seed for result in results]) == (0, [10, 12])


def test_stop_ends_the_session_and_keeps_what_was_saved(twin: Bench, tmp_path: Path) -> None:
    summary, _ = session(twin, tmp_path, SHORT, Command.SAVE, Command.STOP)
    assert summary.stopped
    assert len(list_episodes(tmp_path)) == 1


def test_a_later_session_counts_existing_episodes_and_uses_new_scenes(twin: Bench, tmp_path: Path) -> None:
    session(twin, tmp_path, SHORT, Command.SAVE, Command.STOP)
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE)
    assert (summary.existing, len(summary.kept)) == (1, 1)
    assert [result.seed for result in results] == [11]
    assert results[0].episode == 2


def test_demonstrations_of_another_task_in_the_folder_do_not_count(twin: Bench, tmp_path: Path) -> None:
    other = replace(twin.spec, task="peg_insert")
    with Recorder(tmp_path, other) as recorder:
        collect(
            twin,
            Still(),
            recorder,
            tmp_path,
            replace(META, task="peg_insert"),
            SHORT,
            Hooks(command=keys(*[Command.SAVE] * 2)),
        )
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE, Command.SAVE)
    assert (summary.existing, [result.seed for result in results]) == (0, [10, 11])


def test_a_full_folder_needs_no_more(twin: Bench, tmp_path: Path) -> None:
    session(twin, tmp_path, SHORT, Command.SAVE, Command.SAVE)
    summary, results = session(twin, tmp_path, SHORT)
    assert (summary.existing, summary.kept, results) == (2, (), [])


def test_a_demonstration_that_runs_out_of_time_failed_and_is_discarded(twin: Bench, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="2 demonstrations in a row"):
        session(twin, tmp_path, replace(SHORT, patience=2))
    assert list_episodes(tmp_path) == []


def test_failures_are_kept_on_request_and_do_not_count(twin: Bench, tmp_path: Path) -> None:
    plan = replace(SHORT, target=1, keep_failures=True)
    summary, results = session(twin, tmp_path, plan, Command.DISCARD, Command.SAVE)
    assert [result.outcome for result in results] == [Outcome.FAILURE, Outcome.SUCCESS]
    assert (len(summary.kept), summary.failures, len(list_episodes(tmp_path))) == (1, 1, 2)


def test_the_screen_is_called_at_every_tick(twin: Bench, tmp_path: Path) -> None:
    ticks: list[Tick] = []
    hooks = Hooks(on_tick=ticks.append, command=keys(Command.SAVE))
    with Recorder(tmp_path, twin.spec) as recorder:
        collect(twin, Still(), recorder, tmp_path, META, replace(SHORT, target=1), hooks)
    assert [(tick.episode, tick.target, tick.seed) for tick in ticks] == [(1, 1, 10)] * 3


def test_an_interrupted_episode_is_kept_as_aborted(twin: Bench, tmp_path: Path) -> None:
    def interrupt(tick: Tick) -> None:
        if tick.step.observation.time_s > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path, twin.spec) as recorder:
        collect(twin, Still(), recorder, tmp_path, META, SHORT, Hooks(on_tick=interrupt))
    with Episode(list_episodes(tmp_path)[0]) as episode:
        assert episode.outcome is Outcome.ABORTED
        assert len(episode) >= 2


@pytest.mark.slow
def test_the_scripted_operator_records_successful_demonstrations(twin: Bench, tmp_path: Path) -> None:
    leader = load_bench("twin").open_leader(twin)
    plan = CollectPlan(target=2, limits=Limits(max_seconds=30.0))
    with Recorder(tmp_path, twin.spec) as recorder:
        summary = collect(twin, leader, recorder, tmp_path, META, plan)
    with Episode(summary.kept[0]) as episode:
        assert episode.outcome is Outcome.SUCCESS
        assert episode.privileged["cube"][-1, 1] > 0.1  # in the bin


def test_demonstrations_that_differ_from_those_in_the_folder_are_refused(twin: Bench, tmp_path: Path) -> None:
    session(twin, tmp_path, replace(SHORT, target=1), Command.SAVE)
    other = load_bench("twin").model_copy(update={"rate_hz": 10.0})
    refused = pytest.raises(DataError, match=r"other rate_hz than what twin records now: 20\.0, not 10\.0")
    with other.open() as bench, Recorder(tmp_path, bench.spec) as recorder, refused:
        collect(bench, Still(), recorder, tmp_path, META, SHORT, Hooks())
