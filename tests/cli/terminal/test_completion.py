"""Every number that a user can give has an upper limit, and is refused before anything is allocated for it."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from typer.models import ParameterInfo

from ebt_cli.app import app, run
from ebt_cli.terminal.completion import LAST_SEED, MOST_EPISODES

RUN = str(Path(__file__).parents[2] / "runs" / "pick_place")


def numeric_options() -> Iterator[tuple[str, ParameterInfo]]:
    """Verb and option, and how it is declared, of every option that takes a number."""
    for command in app.registered_commands:
        assert command.callback is not None
        for name, parameter in inspect.signature(command.callback).parameters.items():
            kind, *declared = get_args(parameter.annotation)
            if {int, float} & {kind, *get_args(kind)}:
                yield f"{command.callback.__name__} {name}", declared[0]


def test_every_number_has_two_limits() -> None:
    options = dict(numeric_options())
    assert len(options) > 8
    open_ended = [name for name, declared in options.items() if declared.min is None or declared.max is None]
    assert open_ended == ["deploy alpha"], "--alpha is checked by the verb, between 0 and 1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", RUN, "--calibrate", "1000000000"],
        ["deploy", RUN, "-n", "1000000000"],
        ["deploy", RUN, "--retries", "1000000000"],
        ["deploy", RUN, "--seconds", "1e12"],
        ["collect", "-n", "1000000000"],
        ["train", "--time-limit", "1e12"],
    ],
)
def test_a_number_beyond_the_limit_is_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "less than or equal to" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["deploy", RUN], ["collect"]])
def test_seeds_may_not_run_over_what_a_file_holds(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb, "--seed", str(LAST_SEED), "-n", "2"]) == 2
    assert f"--seed {LAST_SEED - 1} or less" in capsys.readouterr().err


def test_the_largest_count_is_one_that_memory_takes() -> None:
    assert len(range(LAST_SEED - MOST_EPISODES, LAST_SEED)) == MOST_EPISODES
