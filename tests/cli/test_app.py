import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ebt_cli import app
from ebt_data.errors import HardwareError

VERBS = ("collect", "train", "deploy", "inspect", "demo", "doctor", "twin")
HEAVY = ("torch", "mujoco", "h5py", "matplotlib", "pyrealsense2", "dynamixel_sdk", "pynput")
OURS = (
    "ebt_hardware",
    "ebt_recipes",
    "ebt_data.reading.episode",
)  # typer itself imports pydantic; our models stay away


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines on stderr; nothing may be on stdout, and no traceback."""
    code = app.run(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return code, err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "said", "hint"),
    [
        (["collect", "--nonsense"], 2, "--nonsense", "ebt collect --help"),
        (["fly"], 2, "fly", "ebt --help"),
        (["collect", "--episodes", "-3"], 2, "--episodes", "ebt collect --help"),
        (["collect", "--seconds", "inf"], 2, "--seconds", "ebt collect --help"),
        (["collect", "--seed", "9" * 20], 2, "--seed", "ebt collect --help"),
        (["collect", "--rate", "1e9"], 2, "--rate", "ebt collect --help"),
        (["collect", "--operator", "me"], 2, "'--operator': 'me' is not one of", "ebt collect --help"),
        (["convert", "."], 5, "holds no episode", "ebt collect --out ."),
        (["convert", "--to", "zarr"], 2, "'--to': 'zarr' is not one of", "ebt convert --help"),
        (["label", "."], 2, "is a folder", "ebt label"),
        (["inspect", "a.h5", "--plot", "a.txt"], 2, "it ends in .png", "--plot episode.png"),
        (["inspect", "a.h5", "--plot", "no/a.png"], 5, "there is no folder no", "mkdir -p no"),
        (["collect", "--bench", "twim"], 3, "did you mean twin?", "twin"),
        (["collect", "--task", "peg_in"], 3, "did you mean peg_insert?", "--task ./my_task.py:MyTask"),
        (["train", "pick_plaice"], 3, "did you mean pick_place?", "ebt train --help"),
        (["inspect", "nowhere.h5"], 5, "nowhere.h5", "ebt collect"),
        (["deploy", "nowhere"], 5, "nowhere", "ebt train"),
    ],
)
def test_a_mistake_is_one_sentence_a_hint_and_a_code(
    arguments: Sequence[str],
    code: int,
    said: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    found, lines = refused(capsys, *arguments)
    assert found == code
    assert len(lines) == 2
    assert lines[0].startswith("error: ") and said in lines[0]
    assert lines[1].startswith("hint: ") and hint in lines[1]


def test_every_mistake_in_a_bench_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.toml"
    file.write_text('kind = "twin"\nrate_hertz = 20\n')
    code, lines = refused(capsys, "collect", "--bench", str(file))
    assert code == 3
    assert "rate_hertz" in lines[0] and "followers" in lines[0]


def test_text_from_elsewhere_commands_neither_terminal_nor_markup(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = refused(capsys, "inspect", "\x1b[2J[red]evil[/red].h5")
    assert code == 5
    assert "\x1b" not in lines[0]
    assert r"\x1b[2J[red]evil[/red].h5" in lines[0]


def test_a_bug_keeps_its_traceback_and_says_that_it_is_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(app, "get_command", broken)
    assert app.run([]) == 70
    assert "ZeroDivisionError: a bug" in caplog.text
    assert "bug in ebt" in caplog.text


def test_a_full_disk_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "run/curves")

    monkeypatch.setattr(app, "get_command", full)
    code, lines = refused(capsys)
    assert code == 5
    assert lines[0] == "error: run/curves: No space left on device"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "get_command", interrupted)
    assert app.run([]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_what_the_bench_adds_to_an_error_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def held(_: object) -> None:
        error = HardwareError("motor 3 is silent", hint="ebt doctor")
        error.add_note("the arm holds")
        raise error

    monkeypatch.setattr(app, "get_command", held)
    assert app.run([]) == 4
    assert capsys.readouterr().err.splitlines() == ["error: motor 3 is silent", "the arm holds", "hint: ebt doctor"]


def test_help_of_no_verb_imports_anything_heavy() -> None:
    code = (
        "import sys; from ebt_cli.app import run\n"
        f"for verb in {VERBS!r}: assert run([verb, '--help']) == 0\n"
        "assert run(['--help']) == 0 and run([]) == 0\n"
        f"sys.exit(' '.join(m for m in {HEAVY + OURS!r} if m in sys.modules) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert all(verb in found.stdout for verb in VERBS)


def test_the_version_is_the_installed_one() -> None:
    found = subprocess.run([sys.executable, "-m", "ebt_cli", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == "0.1.0\n"


def test_no_color_means_no_escape_codes() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "ebt_cli", "inspect", "nowhere"],
        capture_output=True,
        text=True,
        env={
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "NO_COLOR": "1",
            "FORCE_COLOR": "1",
            "TERM": "xterm-256color",
        },
        check=False,
    )
    assert found.returncode == 5
    assert "\x1b[3" not in found.stderr


def test_what_a_file_gets_wrong_is_a_list_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("colour = 1\nsize = 2\n")
    code, lines = refused(capsys, "train", str(file))
    assert code == 3
    assert lines[0].startswith("error: ") and len(lines) > 3
    assert not any("\\n" in line for line in lines)
