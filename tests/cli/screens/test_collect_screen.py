"""The screen of a recording: joints, cameras, keys, how the last episode ended."""

from dataclasses import replace
from pathlib import Path

import pytest

from ebt_cli.screens.collect_screen import BenchView, CollectView, JointScale, scales
from ebt_cli.screens.deploy_screen import DeployView
from ebt_data.step import BenchSpec, Outcome
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.recording import Command, EpisodeResult
from tests.cli.screens.conftest import SIZES, Ticks, fits, screen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [CollectView, DeployView])
def test_bench_screens_fit_and_keep_their_height(
    kind: type[BenchView], size: tuple[int, int], spec: BenchSpec, ticks: Ticks
) -> None:
    view = kind("ebt", spec, True)
    assert "opening the bench" in "\n".join(screen(view, size))
    heights = set()
    for tick in ticks(400):
        view.watch(tick)
        if tick.step.observation.time_s in (0.0, 1.0, 1.5, 19.95):
            rows = screen(view, size)
            assert fits(rows, size), "\n".join(rows)
            assert "q stop" in rows[-2]
            heights.add(len(rows))
    assert len(heights) == 1


@pytest.mark.parametrize("size", SIZES)
def test_the_collect_screen_shows_joints_cameras_and_keys(size: tuple[int, int], spec: BenchSpec, ticks: Ticks) -> None:
    view = CollectView("ebt collect", spec, True)
    for tick in ticks(30):
        view.watch(tick)
    shown = "\n".join(screen(view, size))
    for words in ("episode 1 of 10", "seed 7", "● recording", "late ticks 0", "°C", "% stall", "rad/s",
                  "camera age  top 4 ms  wrist 4 ms", "gripper", "s save", "0 kept"):  # fmt: skip
        assert words in shown


def test_load_is_shown_as_a_fraction_of_stall(spec: BenchSpec, ticks: Ticks) -> None:
    view = CollectView("ebt collect", spec, True, {name: JointScale(-1, 1, stall=2.0) for name in spec.joints})
    for tick in ticks(41):
        view.watch(tick)
    assert "+20" in "\n".join(screen(view)), "0.4 A of 2 A"


def test_the_scales_are_the_bench_files_own() -> None:
    found = scales(load_bench("twin"))
    assert (found["shoulder_pan"].low, found["gripper"].high) == (-1.6, 1.4)
    assert found["shoulder_pan"].stall == 1.0, "an XL430 reports a fraction of stall"
    assert found["gripper"].stall > 1.0, "an XL330 reports amperes"


def test_how_an_episode_ended_stays_until_the_next_begins(spec: BenchSpec, ticks: Ticks) -> None:
    view = CollectView("ebt collect", spec, True)
    for tick in ticks(5):
        view.watch(tick)
    view.report(EpisodeResult(1, 7, Outcome.SUCCESS, Command.NONE, Path("a.h5"), 5, 0.2, 1, "success held"))
    rows = "\n".join(screen(view))
    assert "saved" in rows and "1 kept" in rows and "recording" not in rows
    for tick in ticks(2):
        view.watch(tick)
    assert "recording" in "\n".join(screen(view))


def test_the_keyboard_shows_which_joint_it_moves(spec: BenchSpec, ticks: Ticks) -> None:
    view = CollectView("ebt collect", spec, True)
    view.steer(lambda: "elbow_flex")
    for tick in ticks(2):
        view.watch(tick)
    shown = "\n".join(screen(view))
    assert "▶ elbow_flex" in shown and "↑↓ joint" in shown and "q stop" in shown


def test_a_pause_and_the_note_under_way_are_shown(spec: BenchSpec, ticks: Ticks) -> None:
    view, typed = CollectView("ebt collect", spec, True), [None, "the cube [sl"]
    view.attend(lambda: typed[0])
    for tick in ticks(3):
        view.watch(tick)
    assert "p pause  n note" in "\n".join(screen(view))
    assert "keys s d r b p n m q  (more in --help)" in "\n".join(screen(view, (60, 20)))
    assert "of 15 s  ● recording" in "\n".join(screen(view))
    view.watch(replace(tick, paused=True))
    assert "paused, p resumes" in "\n".join(screen(view))
    typed.reverse()
    assert "note  the cube [sl▏  Enter saves it, Esc cancels it" in "\n".join(screen(view))
    typed[0] = "x" * 200 + "the end"
    assert "xxthe end▏  Enter saves it, Esc cancels it" in "\n".join(screen(view))
