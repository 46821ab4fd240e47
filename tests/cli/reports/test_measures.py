"""Measures of a recorded demonstration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_cli.reports.measures import gripper_events, leading_s
from ebt_cli.terminal.verdict import Grade
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import PAUSE, BenchSpec, Event, Outcome
from tests.cli.reports.conftest import ROWS, judged, step


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


def test_standing_still_is_counted_in_seconds_however_late_the_ticks() -> None:
    still, ticks_s = np.array([True, True, False, True]), np.array([0.0, 0.1, 0.9, 1.0, 1.3])
    assert (leading_s(still, ticks_s), leading_s(still[::-1], ticks_s[::-1])) == (0.9, 0.3)
    assert (leading_s(still[:2], ticks_s[:3]), leading_s(still[:0], ticks_s[:0])) == (0.9, 0.0)


def test_a_gripper_turns_where_its_goal_crosses_the_middle_and_not_where_it_trembles() -> None:
    goals = np.array([1.4, 1.4, 0.72, 0.68, 0.72, 0.0, 0.0, 1.4], np.float32)
    assert gripper_events(goals[:, None]) == [5, 7]
    assert gripper_events(0.1 * goals[:, None]) == [], "too little to be a grip"
