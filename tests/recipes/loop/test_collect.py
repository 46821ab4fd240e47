from dataclasses import replace
from pathlib import Path

import pytest

from ebt_data.errors import DataError, TaskFailed
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.reading.labels import add_label
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Outcome
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.collect import CollectPlan, CollectSummary, collect
from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Limits, Tick
from tests.recipes.loop.conftest import DEMO, SHORT, Still, keys


def session(
    twin: Bench, folder: Path, plan: CollectPlan, *pressed: Command
) -> tuple[CollectSummary, list[EpisodeResult]]:
    results: list[EpisodeResult] = []
    hooks = Hooks(report=results.append, command=keys(*pressed))
    with Recorder(folder, twin.spec) as recorder:
        return collect(twin, Still(), recorder, folder, DEMO, plan, hooks), results


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
        collect(twin, Still(), recorder, tmp_path, DEMO, SHORT, hooks)
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE)
    assert (summary.existing, [result.seed for result in results]) == (1, [11])


def test_a_discarded_demonstration_is_followed_by_a_new_scene(twin: Bench, tmp_path: Path) -> None:
    summary, results = session(twin, tmp_path, SHORT, Command.SAVE, Command.DISCARD, Command.SAVE)
    assert [result.seed for result in results] == [10, 11, 12]
    assert (len(list_episodes(tmp_path)), summary.discarded) == (2, 1)


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
            replace(DEMO, task="peg_insert"),
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


def test_an_interrupted_episode_is_kept_as_aborted(twin: Bench, tmp_path: Path) -> None:
    def interrupt(tick: Tick) -> None:
        if tick.step.observation.time_s > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path, twin.spec) as recorder:
        collect(twin, Still(), recorder, tmp_path, DEMO, SHORT, Hooks(on_tick=interrupt))
    with Episode(list_episodes(tmp_path)[0]) as episode:
        assert episode.outcome is Outcome.ABORTED
        assert len(episode) >= 2


@pytest.mark.slow
def test_the_scripted_operator_records_successful_demonstrations(twin: Bench, tmp_path: Path) -> None:
    leader = load_bench("twin").open_leader(twin)
    plan = CollectPlan(target=2, limits=Limits(max_seconds=30.0))
    with Recorder(tmp_path, twin.spec) as recorder:
        summary = collect(twin, leader, recorder, tmp_path, DEMO, plan)
    with Episode(summary.kept[0]) as episode:
        assert episode.outcome is Outcome.SUCCESS
        assert episode.privileged["cube"][-1, 1] > 0.1  # in the bin


def test_demonstrations_that_differ_from_those_in_the_folder_are_refused(twin: Bench, tmp_path: Path) -> None:
    session(twin, tmp_path, replace(SHORT, target=1), Command.SAVE)
    other = load_bench("twin").model_copy(update={"rate_hz": 10.0})
    refused = pytest.raises(DataError, match=r"other rate_hz than what twin records now: 20\.0, not 10\.0")
    with other.open() as bench, Recorder(tmp_path, bench.spec) as recorder, refused:
        collect(bench, Still(), recorder, tmp_path, DEMO, SHORT, Hooks())
