"""The command, its verbs, and the one place where errors become words.

Exit codes: 0 done · 1 the check or the task failed · 2 misuse · 3 configuration · 4 hardware missing or denied ·
5 data invalid · 70 a bug · 130 interrupted, after a safe stop.
"""

import errno
import logging
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from ebt_cli import collect, convert, demo, deploy, doctor, inspect, label, train, twin
from ebt_cli.terminal.console import INTERRUPTED, Stopped, escape_control, notify, stderr_console
from ebt_data.errors import DataError, EbtError

BUG = 70  # sysexits.h EX_SOFTWARE
BUG_WORDS = "this is a bug in ebt; please report it with the lines below"
MACHINE = {
    errno.ENOSPC: "free some space, or work elsewhere with --out; existing files are unchanged; ebt doctor",
    errno.EDQUOT: "free some space, or work elsewhere with --out; existing files are unchanged; ebt doctor",
    errno.EROFS: "work elsewhere with --out; ebt doctor checks every folder that ebt needs",
    errno.EACCES: "work elsewhere with --out, or see to the permissions; ebt doctor",
    errno.EPERM: "work elsewhere with --out, or see to the permissions; ebt doctor",
    errno.ENOTDIR: "a file is where a folder should be; name another one with --out",
    errno.EIO: "the disk fails, or the terminal was closed",
}
"""What a disk or its permissions may refuse anywhere; no bug of ours."""

app = typer.Typer(
    help="Collect demonstrations, train, deploy and inspect energy-based policies on a bench of robot arms.",
    epilog="No hardware? `ebt demo` runs the whole loop on a simulated bench (the twin).",
    context_settings={"help_option_names": ["-h", "--help"]},
)
loop = (collect.collect, train.train, deploy.deploy, inspect.inspect)
for verb in (*loop, label.label, convert.convert, demo.demo, doctor.doctor, twin.twin):
    app.command()(verb)


def _print_version(wanted: bool) -> None:
    if wanted:
        from ebt_data.versions import installed_version

        typer.echo(installed_version("ebt"))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # read by its callback
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the only place where an error is caught to be shown."""
    try:
        code = get_command(app)(arguments, prog_name="ebt", standalone_mode=False)
    except Stopped as stop:
        notify(f"stopped; {stop}", "yellow")
        return stop.exit_code
    except EbtError as error:
        _show(str(error), error.hint, getattr(error, "__notes__", ()))
        return error.exit_code
    except typer.TyperException as misuse:
        _show(misuse.format_message().replace("Value error, ", ""), f"{_path(misuse)} --help")
        return misuse.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # the one boundary: whatever else gets here is a bug and keeps its traceback
        if isinstance(error, OSError) and error.errno in MACHINE:
            where = f"{error.filename}: " if error.filename else ""
            _show(f"{where}{error.strerror}", MACHINE[error.errno])
            return DataError.exit_code
        logging.getLogger("ebt").exception(BUG_WORDS)
        return BUG
    if code == INTERRUPTED:
        notify("stopped", "yellow")
    return code if isinstance(code, int) else 0


def _show(message: str, hint: str, notes: Sequence[str] = ()) -> None:
    from rich.text import Text

    console = stderr_console()
    extra = [note for note in notes if not (hint and note.endswith(hint))]
    lines = [("error: ", "bold red", message), *(("", "", note) for note in extra), ("hint: ", "cyan", hint)]
    for head, style, text in lines:
        if text:
            # A message may take several lines, as the list of what a file gets wrong does.
            text = "\n".join(map(escape_control, text.split("\n")))
            console.print(Text.assemble((head, style), text), soft_wrap=True)


def _path(misuse: typer.TyperException) -> str:
    """The command that was misused, e.g. `ebt train`."""
    context = getattr(misuse, "ctx", None)
    return str(context.command_path) if context is not None else "ebt"
