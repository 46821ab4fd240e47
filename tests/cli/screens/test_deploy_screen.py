"""The screen of a rollout: energy against its threshold, alarms, retries, ages."""

from collections.abc import Callable

import pytest

from ebt_cli.screens.deploy_screen import DeployView
from ebt_data.step import BenchSpec
from ebt_recipes.loop.recording import Tick
from tests.cli.screens.conftest import SIZES, Ticks, screen


@pytest.mark.parametrize("size", SIZES)
def test_the_deploy_screen_shows_what_matters(size: tuple[int, int], spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, True)
    for tick in ticks(30):
        view.watch(tick)
    shown = "\n".join(screen(view, size))
    for words in (
        "energy 3.90",
        "threshold 2.90",
        "attempt 2",
        "retrying",
        "descent steps 3",
        "plan latency 20 ms",
        "▲alarm~~",
        "rise  score 3 over 2",
        "camera age  top 4 ms  wrist 4 ms",
        "late ticks 0",
        "s it worked",
    ):
        assert words in shown
    assert "─────" in shown, "the threshold is a line across"


def test_the_deploy_screen_shows_that_there_is_no_threshold(
    spec: BenchSpec, bare_ticks: Callable[[int], list[Tick]]
) -> None:
    view = DeployView("ebt deploy", spec, True)
    for tick in bare_ticks(10):
        view.watch(tick)
    shown = "\n".join(screen(view))
    assert "no threshold yet: see --calibrate" in shown
    assert "following its plan" in shown


def test_without_colour_nothing_but_colour_is_lost(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, True)
    for tick in ticks(30):
        view.watch(tick)
    assert not any("\x1b[3" in row for row in screen(view))
    assert any("\x1b[3" in row for row in screen(view, color=True))


def test_a_new_episode_starts_the_energy_strip_anew(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, False)
    for tick in (*ticks(30), *ticks(1)):
        view.watch(tick)
    shown = "\n".join(screen(view))
    assert "energy 1.00" in shown and "rise" not in shown and "Ctrl-C stops" in shown


def test_the_line_for_a_log_has_no_bars_and_no_breaks(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, False)
    for tick in ticks(30):
        view.watch(tick)
    line = view.line()
    assert "\n" not in line and "█" not in line and "energy 3.90" in line and "camera age" in line
