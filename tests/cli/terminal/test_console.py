import json

import pytest

from ebt_cli.terminal.console import escape_control, notify, result_json, result_table


def test_a_table_that_is_piped_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    result_table(("a", "b"), [(1, "x\ny"), (2, "\x1b[31m")])
    assert capsys.readouterr().out == "a\tb\n1\tx\\ny\n2\t\\x1b[31m\n"


def test_json_says_its_schema_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    result_json("thing", {"a": float("nan"), "b": [{"c": float("nan")}, 1.5]})
    assert json.loads(capsys.readouterr().out) == {"schema": "ebt.thing/1", "a": None, "b": [{"c": None}, 1.5]}


def test_talk_goes_to_stderr_and_nothing_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    notify("hello [bold]you[/bold]")
    notify("")
    assert capsys.readouterr() == ("", "hello [bold]you[/bold]\n")


def test_only_control_characters_are_made_plain() -> None:
    assert escape_control("é · \x07\x9b") == r"é · \x07\x9b"


def test_text_cannot_begin_a_line_of_its_own() -> None:
    assert escape_control("a\nb\rc\td\u2028e") == r"a\nb\rc\td\u2028e"
