import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel

from ebt_cli.app import run
from ebt_cli.collect import Operator
from ebt_cli.reports.tally import TallyView
from ebt_cli.screens.collect_screen import BenchView, CollectView, JointScale, scales
from ebt_cli.screens.deploy_screen import DeployView
from ebt_cli.screens.live import Painter, View
from ebt_cli.screens.train_screen import TrainView
from ebt_data.errors import MisuseError
from ebt_data.reading.episode import Episode
from ebt_data.step import BenchSpec, Outcome
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.recording import Command, EpisodeResult, Tick
from ebt_recipes.training.train import Progress

Ticks = Callable[[int], list[Tick]]
SIZES = [(80, 24), (120, 40), (60, 20)]


def screen(view: View, size: tuple[int, int] = (80, 24), color: bool = False) -> list[str]:
    """What a terminal of so many columns and rows shows of a view, which leaves it one row for the cursor."""
    width, height = size
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor" if color else None
    )
    with console.capture() as capture:
        console.print(Panel(view.render(width - 4, height - 3), width=width))
    return capture.get().splitlines()


def fits(rows: list[str], size: tuple[int, int]) -> bool:
    """No line is wider than the terminal, and there are fewer lines than it has rows."""
    return len(rows) < size[1] and {cell_len(row) for row in rows} == {size[0]}


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


def test_a_new_episode_starts_the_energy_strip_anew(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, False)
    for tick in (*ticks(30), *ticks(1)):
        view.watch(tick)
    shown = "\n".join(screen(view))
    assert "energy 1.00" in shown and "rise" not in shown and "Ctrl-C stops" in shown


@pytest.mark.parametrize("size", SIZES)
def test_the_train_screen_fits_and_shows_loss_wait_and_time_left(size: tuple[int, int]) -> None:
    view = TrainView("ebt train")
    assert "reading episodes" in "\n".join(screen(view, size))
    parts = {name: 1.0 for name in ("loss", "match", "level", "forecast", "negative", "gradient_norm")}
    for step in range(1, 200):
        validation = {**parts, "action_error_rad": 0.03 + 1 / step}
        view.report(Progress(step, 4000, step / 4000, parts, validation, 1e-3, 0.25, 10.0, 125.0))
    rows = screen(view, size)
    assert fits(rows, size), "\n".join(rows)
    shown = "\n".join(rows)
    for words in ("training loss", "validation loss", "action error, rad", "0.03503", "data wait 25%",
                  "2 min 05 s left", "elapsed 10 s", "--resume"):  # fmt: skip
        assert words in shown


def test_the_train_screen_keeps_its_height_when_the_first_validation_comes() -> None:
    view = TrainView("ebt train")
    parts = {name: 1.0 for name in ("loss", "match", "level", "forecast", "negative", "gradient_norm")}
    view.report(Progress(20, 4000, 0.01, parts))
    before = screen(view)
    assert "validation loss          comes at the first check" in "\n".join(before)
    held_out = {name: value for name, value in parts.items() if name != "gradient_norm"} | {"action_error_rad": 0.1}
    view.report(Progress(40, 4000, 0.02, parts, held_out))
    assert len(screen(view)) == len(before)


@pytest.mark.parametrize("size", SIZES)
def test_the_tally_fits(size: tuple[int, int]) -> None:
    view = TallyView("policy", 100, [{"outcome": "success"}] * 70)
    assert fits(screen(view, size), size)


def test_without_a_terminal_notes_are_plain_lines(
    spec: BenchSpec, ticks: Ticks, capsys: pytest.CaptureFixture[str]
) -> None:
    view = CollectView("ebt collect", spec, False)
    with Painter(view) as painter:
        for tick in ticks(3):
            view.watch(tick)
        painter.note("episode 1 kept")
    assert capsys.readouterr() == ("", "episode 1 kept\n")


def test_the_line_for_a_log_has_no_bars_and_no_breaks(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, False)
    for tick in ticks(30):
        view.watch(tick)
    line = view.line()
    assert "\n" not in line and "█" not in line and "energy 3.90" in line and "camera age" in line


def test_the_keyboard_is_refused_where_time_does_not_wait_for_a_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["collect", "--operator", "keyboard", "--out", str(tmp_path / "demos")]) == 2
    told = capsys.readouterr().err
    assert "lock-step" in told and "--bench twin_live" in told
    assert not (tmp_path / "demos").exists()


@pytest.mark.slow
def test_a_piped_collect_has_no_escapes_and_may_keep_every_pixel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ebt_cli", "collect", "-n", "1", "--lossless", "--operator", Operator.LEADER]
    command += ["--out", "demos"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "episode\ndemos/episode_0000.h5\n"
    assert "\x1b" not in done.stderr and len(done.stderr.splitlines()) < 5
    with Episode(tmp_path / "demos" / "episode_0000.h5") as episode:
        assert {episode.blob(camera, 0)[:4] for camera in episode.spec.cameras} == {b"qoif"}


def test_a_training_without_an_update_is_reported() -> None:
    with pytest.raises(MisuseError, match="nothing was trained"):
        TrainView("train").last()
