"""Measures of recorded demonstrations, and verdicts on a folder of them from their measures."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebt_cli.app import run
from ebt_cli.reports.demonstrations import report_folder, report_one
from ebt_cli.reports.episode_summary import facts
from ebt_cli.reports.measures import leading_s, measure
from ebt_cli.terminal.verdict import Grade, Report
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import PAUSE, Actor, BenchSpec, Decision, Event, Frame, Observation, Outcome, Step

ROWS = 60


def step(spec: BenchSpec, row: int, *, still: bool = False, dark: bool = False, lag_rad: float = 0.0) -> Step:
    """An arm that turns on and on, and whose gripper closes in row 20 and opens in row 40."""
    time_s = row / spec.rate_hz
    pose = np.full(len(spec.joints), 0.0 if still else 0.02 * row, np.float32)
    pose[-1] = 0.0 if 20 <= row < 40 and not still else 1.4
    noise = np.random.default_rng(row).integers(0, 2 if dark else 256, (16, 16, 3)).astype(np.uint8)
    frames = {name: Frame(noise, row, time_s, "global_time", time_s, 0.01, repeated=False) for name in spec.cameras}
    seen = Observation(time_s, time_s, pose - np.float32(lag_rad), pose, pose, frames)
    return Step(seen, Decision(pose, Actor.HUMAN), pose, time_s, 1 if row % 10 == 9 and dark else 0)


@pytest.fixture
def record(spec: BenchSpec, tmp_path: Path) -> Any:
    def make(**how: Any) -> Path:
        with Recorder(tmp_path, spec) as recorder:
            recorder.start(EpisodeMeta("demo", "pick_place", seed=1, operator="leader", bench="small"))
            for row in range(ROWS):
                recorder.append(step(spec, row, **how))
            return recorder.finish(Outcome.SUCCESS)

    return make


def grades(report: Report) -> dict[str, Grade]:
    return {reason.name: reason.grade for reason in report.reasons}


def judged(path: Path) -> Report:
    with Episode(path) as episode:
        return report_one(episode, facts(episode))


def test_a_clean_demonstration_is_good(record: Any) -> None:
    report = judged(record())
    assert report.grade is Grade.GOOD, [reason.text for reason in report.reasons]
    assert report.facts["measures"]["gripper_events"] == 2
    assert report.facts["measures"]["idle"] == 0.0


def test_a_pause_is_neither_length_nor_lateness_and_its_note_is_reported(spec: BenchSpec, tmp_path: Path) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(EpisodeMeta("demo", "pick_place"))
        for row in range(ROWS):
            shown = step(spec, row)
            if row >= 30:
                late = replace(shown.observation, time_s=shown.observation.time_s + 5.0)
                events = (Event(PAUSE), Event("note", "the phone [rang]")) if row == 30 else ()
                shown = replace(shown, observation=late, events=events)
            recorder.append(shown)
        end = replace(shown.observation, time_s=shown.observation.time_s + 3.0)  # it was ended in a pause
        recorder.append(replace(shown, observation=end, events=(Event(PAUSE),)))
        path = recorder.finish(Outcome.SUCCESS)
    report = judged(path)
    found, period_s = report.facts["measures"], 1 / spec.rate_hz
    assert (found["seconds"], found["paused_s"]) == pytest.approx(((ROWS - 2) * period_s, 5 + period_s), abs=1e-3)
    assert (found["jitter_ms"], found["notes"]) == (pytest.approx(0.0, abs=0.01), ["the phone [rang]"])
    assert report.facts["rate_achieved_hz"] == pytest.approx(spec.rate_hz)
    assert report.grade is Grade.GOOD


def test_a_dark_and_late_demonstration_is_bad_and_the_report_has_numbers(record: Any) -> None:
    report = judged(record(dark=True))
    assert grades(report)["exposure"] is Grade.BAD
    assert grades(report)["late_ticks"] is Grade.BAD
    assert any("6 late ticks in 60 (9.1%)" in reason.text for reason in report.reasons)


def test_a_demonstration_without_motion_is_bad(record: Any) -> None:
    report = judged(record(still=True))
    assert grades(report)["idle"] is Grade.BAD
    assert grades(report)["gripper"] is Grade.BAD


def test_an_arm_that_does_not_follow_is_noticed(record: Any) -> None:
    report = judged(record(lag_rad=0.3))
    assert grades(report)["tracking_rad"] is Grade.DOUBTFUL


@pytest.fixture
def one(record: Any) -> dict[str, Any]:
    with Episode(record()) as episode:
        return measure(episode)


def many(one: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """As many demonstrations, each on a scene of its own, gripping in a place of its own."""
    return [one | {"seed": n, "grip_rad": [0.1 * (n % 7)] * 6, "seconds": 3 + 0.01 * n} for n in range(count)]


def test_fifty_clean_and_varied_demonstrations_are_good(one: dict[str, Any], spec: BenchSpec) -> None:
    report = report_folder(Path("demos"), many(one, 50), spec.joints, [])
    assert report.grade is Grade.GOOD, [reason.text for reason in report.reasons]
    assert "ebt train" in report.next


@pytest.mark.parametrize(
    ("change", "name", "grade"),
    [
        (lambda found: found[:49], "usable", Grade.DOUBTFUL),
        (lambda found: found[:9], "usable", Grade.BAD),
        (lambda found: [f | {"grip_rad": [0.1] * 6} for f in found], "variety_rad", Grade.DOUBTFUL),
        (lambda found: [f | {"seed": 3} for f in found], "repeats", Grade.DOUBTFUL),
        (lambda found: [f | {"seconds": 30.0} if n < 20 else f for n, f in enumerate(found)], "lengths", Grade.BAD),
        (
            lambda found: [f | {"gripper_events": 0} if n < 10 else f for n, f in enumerate(found)],
            "gripper",
            Grade.DOUBTFUL,
        ),
        (lambda found: [f | {"late_ticks": 1} for f in found], "late_ticks", Grade.DOUBTFUL),
    ],
)
def test_what_is_wrong_with_a_folder_has_a_name(
    change: Any, name: str, grade: Grade, one: dict[str, Any], spec: BenchSpec
) -> None:
    report = report_folder(Path("demos"), change(many(one, 50)), spec.joints, [])
    assert grades(report)[name] is grade


def test_failures_are_not_counted_as_training_data(one: dict[str, Any], spec: BenchSpec) -> None:
    found = [f | {"outcome": "failure"} if n < 45 else f for n, f in enumerate(many(one, 50))]
    report = report_folder(Path("demos"), found, spec.joints, [])
    assert report.facts["usable"] == 5 and report.grade is Grade.BAD


def test_a_spec_without_gripper_asks_for_none(one: dict[str, Any], spec: BenchSpec) -> None:
    arm = replace(spec, joints=spec.joints[:-1])
    assert "gripper" not in grades(report_folder(Path("demos"), many(one, 50), arm.joints, []))


@pytest.fixture
def slow(spec: BenchSpec, tmp_path: Path) -> Path:
    """It stands still for 2 s, moves for 1 s and stands still for 1.5 s."""
    with Recorder(tmp_path / "two words", spec) as recorder:
        recorder.start(EpisodeMeta("demo", "pick_place", bench="small"))
        for row in range(90):
            time_s, moved = row / spec.rate_hz, step(spec, min(max(row - 40, 0), 20))
            seen = replace(moved.observation, time_s=time_s, read_s=time_s)
            recorder.append(replace(moved, observation=seen, sent_s=time_s))
        return recorder.finish(Outcome.SUCCESS)


def ends(report: Report) -> str:
    return next((reason.text for reason in report.reasons if reason.name == "ends"), "")


def test_the_trim_that_is_advised_can_be_typed_and_leaves_nothing_to_advise(
    slow: Path, spec: BenchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(slow.parent.parent)
    command = f"ebt label 'two words/{slow.name}' --trim 2.0:3.0"
    assert command in ends(judged(slow))
    assert run(shlex.split(command)[1:]) == 0
    assert ends(judged(slow)) == ""


def test_standing_still_is_counted_in_seconds_however_late_the_ticks() -> None:
    still, ticks_s = np.array([True, True, False, True]), np.array([0.0, 0.1, 0.9, 1.0, 1.3])
    assert (leading_s(still, ticks_s), leading_s(still[::-1], ticks_s[::-1])) == (0.9, 0.3)
    assert (leading_s(still[:2], ticks_s[:3]), leading_s(still[:0], ticks_s[:0])) == (0.9, 0.0)


def test_a_trim_is_advised_in_the_seconds_of_the_whole_recording(slow: Path) -> None:
    assert run(["label", str(slow), "--trim", "0.5:"]) == 0
    assert ends(judged(slow)).endswith("--trim 2.0:3.0")


def test_no_trim_is_advised_where_nothing_moves(record: Any) -> None:
    assert ends(judged(record(still=True))).endswith("stands still from start to end")
