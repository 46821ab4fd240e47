import pytest

from ebt_cli.screens.collect_screen import CollectView
from ebt_cli.screens.live import Painter
from ebt_data.step import BenchSpec
from tests.cli.screens.conftest import Ticks


def test_without_a_terminal_notes_are_plain_lines(
    spec: BenchSpec, ticks: Ticks, capsys: pytest.CaptureFixture[str]
) -> None:
    view = CollectView("ebt collect", spec, False)
    with Painter(view) as painter:
        for tick in ticks(3):
            view.watch(tick)
        painter.note("episode 1 kept")
    assert capsys.readouterr() == ("", "episode 1 kept\n")
