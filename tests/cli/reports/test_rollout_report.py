"""What is said of one rollout, and that its texts have no power."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ebt_cli import inspect as verb
from ebt_cli.screens.page import screen
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import BenchSpec, Event, Outcome


def test_the_screen_of_a_rollout_says_why_it_failed(rollout: Path) -> None:
    shown = [line.plain for line in screen(verb._episode(rollout, None), 80, 24)]
    assert shown[0].startswith("BAD  ")
    text = "\n".join(shown)
    for words in (
        "failure on attempt 2 after",
        "first alarm came at 1.0 s (score 3 over 2), and a",
        "▲alarm",
        "20 ms",
    ):
        assert words in text
    assert "────" in text, "the threshold"


def test_text_from_a_file_has_no_power_over_the_terminal(spec: BenchSpec, ticks: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(EpisodeMeta("rollout", "pick\x1b[31m", seed=7, policy="run\x1b]0;x\x07"))
        for tick in ticks(3):
            hostile = (Event("disturbance", "\x1b[2Jknock\nGOOD"),)
            recorder.append(replace(tick.step, events=hostile))
        path = recorder.finish(Outcome.SUCCESS)
    shown = "".join(line.plain for line in screen(verb._episode(path, None), 80, 24))
    assert "\n" not in shown and "\\nGOOD" in shown
    assert "\\x1b" in shown and "\x1b" not in shown and "\x07" not in shown
