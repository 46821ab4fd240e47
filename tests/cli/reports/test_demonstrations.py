"""Verdicts on a recorded demonstration, and on a folder of them from their measures."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ebt_cli.app import run
from ebt_cli.reports.demonstrations import report_folder
from ebt_cli.reports.measures import measure
from ebt_cli.terminal.verdict import Grade, Report
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import BenchSpec, Outcome
from tests.cli.reports.conftest import grades, judged, step


def test_a_clean_demonstration_is_good(record: Any) -> None:
    report = judged(record())
    assert report.grade is Grade.GOOD, [reason.text for reason in report.reasons]
    assert report.facts["measures"]["gripper_events"] == 2
    assert report.facts["measures"]["idle"] == 0.0


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


def test_a_trim_is_advised_in_the_seconds_of_the_whole_recording(slow: Path) -> None:
    assert run(["label", str(slow), "--trim", "0.5:"]) == 0
    assert ends(judged(slow)).endswith("--trim 2.0:3.0")


def test_no_trim_is_advised_where_nothing_moves(record: Any) -> None:
    assert ends(judged(record(still=True))).endswith("stands still from start to end")
