from collections.abc import Iterator
from pathlib import Path

from ebt_cli.session import OperatorKeys, rate_line, sentence, versions
from ebt_data.step import Event, Outcome
from ebt_recipes.loop.recording import Command, EpisodeResult


def operator_keys(*keys: str | None) -> OperatorKeys:
    pressed: Iterator[str | None] = iter(keys)
    return OperatorKeys(lambda: next(pressed, None))


def test_keys_are_commands() -> None:
    at = operator_keys("s", "d", "r", "q", None, "x")
    commands = [at.command() for _ in range(6)]
    assert commands == [Command.SAVE, Command.DISCARD, Command.REDO, Command.STOP, Command.NONE, Command.NONE]


def test_a_mark_is_said_once() -> None:
    at = operator_keys("m", None)
    assert at.command() is Command.NONE
    assert at.said() == (Event("mark", "by the operator"),)
    assert at.said() == ()


class Notebook:
    """A pen whose lines are there at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start_line(self) -> None:
        self.lines.append("the cube slipped")

    def next_line(self) -> str | None:
        return self.lines.pop(0) if self.lines else None


def test_pausing_and_notes_are_for_people_who_demonstrate() -> None:
    pressed = iter(["p", "n", None])
    at = OperatorKeys(lambda: next(pressed), line_editor=Notebook())
    assert [at.command() for _ in range(3)] == [Command.PAUSE, Command.NOTE, Command.NONE]
    assert at.said() == (Event("note", "the cube slipped"),)
    scripted = operator_keys("p", "n")
    assert [scripted.command() for _ in range(2)] == [Command.NONE] * 2


def test_going_back_is_a_command_only_where_it_means_something() -> None:
    assert OperatorKeys(lambda: "b", back=True).command() is Command.BACK
    plain = operator_keys("b")
    assert plain.command() is Command.NONE
    assert plain.veto()


def test_any_key_vetoes_even_one_that_the_command_saw_first() -> None:
    for key in ("x", "m"):
        at = operator_keys(key)
        assert at.command() is Command.NONE
        assert at.veto()


def test_an_old_key_vetoes_nothing() -> None:
    at = operator_keys("x", None, None)
    at.command()
    at.command()
    assert not at.veto()


def test_the_rate_line_has_its_interval() -> None:
    assert rate_line(41, 50, 0.6922, 0.9019) == "success 41/50 (69-90 %)"


def test_an_episode_is_said_in_one_line() -> None:
    result = EpisodeResult(3, 12, Outcome.SUCCESS, Command.NONE, Path("a/x.h5"), 80, 4.0, 2, "success held")
    assert sentence(result) == "x.h5  seed 12  success held  4.0 s  2 attempts"


def test_an_episode_that_was_thrown_away_is_said_with_its_reason() -> None:
    result = EpisodeResult(3, None, Outcome.FAILURE, Command.NONE, None, 80, 4.0, 1, "time limit")
    assert sentence(result) == "episode 3 not kept  failure: time limit  4.0 s  1 attempt"


def test_versions_name_what_a_recording_depends_on() -> None:
    assert versions()["ebt"] == "0.1.0"
    assert {"torch", "mujoco", "dynamixel-sdk"} <= set(versions())
