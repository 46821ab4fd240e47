import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.panel import Panel

from ebt_cli.live import Painter
from ebt_cli.screens import BenchView, CollectView, DeployView
from ebt_cli.train_screen import TrainView
from ebt_data.step import BenchSpec
from ebt_recipes.recording import Tick
from ebt_recipes.train import Progress

Ticks = Callable[[int], list[Tick]]


def screen(view: BenchView | TrainView) -> list[str]:
    """What a terminal of 80 x 24 shows of a view."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(Panel(view.render(76), title=view.title, title_align="left", width=80))
    return capture.get().splitlines()


@pytest.mark.parametrize("kind", [CollectView, DeployView])
def test_bench_screens_fit_a_small_terminal(kind: type[BenchView], spec: BenchSpec, ticks: Ticks) -> None:
    view = kind("ebt", spec, True)
    assert "opening the bench" in "\n".join(screen(view))
    for tick in ticks(400):
        view.watch(tick)
    rows = screen(view)
    assert len(rows) <= 22
    assert max(map(len, rows)) <= 80


def test_the_deploy_screen_shows_what_matters(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, True)
    for tick in ticks(30):
        view.watch(tick)
    shown = "\n".join(screen(view))
    for words in ("SIM", "energy 3.90", "threshold 2.90", "attempt 2", "retrying", "descent steps 3", "rise", "q stop"):
        assert words in shown


def test_the_collect_screen_shows_joints_cameras_and_keys(spec: BenchSpec, ticks: Ticks) -> None:
    view = CollectView("ebt collect", spec, True)
    for tick in ticks(30):
        view.watch(tick)
    shown = "\n".join(screen(view))
    for words in ("episode 1/10", "late ticks 0", "°C", "top 4 ms", "wrist 4 ms", "gripper", "rad/s", "s save"):
        assert words in shown


def test_a_new_episode_starts_the_energy_strip_anew(spec: BenchSpec, ticks: Ticks) -> None:
    view = DeployView("ebt deploy", spec, False)
    for tick in (*ticks(30), *ticks(1)):
        view.watch(tick)
    assert "energy 1.00" in "\n".join(screen(view))
    assert "retrying" not in "\n".join(screen(view))


def test_the_train_screen_fits_and_shows_loss_wait_and_time_left() -> None:
    view = TrainView("ebt train")
    parts = {name: 1.0 for name in ("loss", "match", "level", "forecast", "negative", "gradient_norm")}
    for step in range(1, 200):
        validation = {**parts, "action_error_rad": 0.03}
        view.report(Progress(step, 4000, step / 4000, parts, validation, 1e-3, 0.25, 10.0, 125.0))
    rows = screen(view)
    assert len(rows) <= 22 and max(map(len, rows)) <= 80
    shown = "\n".join(rows)
    for words in ("training loss", "validation loss", "action_error_rad", "data wait 25%", "2 min 05 s left"):
        assert words in shown


def test_without_a_terminal_notes_are_plain_lines(
    spec: BenchSpec, ticks: Ticks, capsys: pytest.CaptureFixture[str]
) -> None:
    view = CollectView("ebt collect", spec, False)
    with Painter(view) as painter:
        for tick in ticks(3):
            view.watch(tick)
        painter.note("episode 1 kept")
    assert capsys.readouterr() == ("", "episode 1 kept\n")
