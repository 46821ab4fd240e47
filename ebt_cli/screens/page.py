"""A report on one screen: the verdict, why, what else there is to know, and what to do next."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ebt_cli.terminal.console import escape_control, notify, result_json, result_table
from ebt_cli.terminal.verdict import Grade, Report

if TYPE_CHECKING:
    from rich.text import Text

MARKS = {Grade.GOOD: "✓", Grade.DOUBTFUL: "?", Grade.BAD: "✗"}
STYLES = {Grade.GOOD: "bold green", Grade.DOUBTFUL: "bold yellow", Grade.BAD: "bold red"}
LABEL = 12  # columns
MOST_VALUES = 12
"""Of a list in one cell; a longer one, such as a training curve, is shown by its number of values and its ends."""


def show(report: Report, json: bool) -> None:
    """One JSON object, one screen, or lines of `what` and `value`, depending on where it is printed."""
    if json:
        result_json(report.schema, report.to_json())
    elif sys.stdout.isatty():
        _paint(report)
    else:
        _print_plain(report)


def show_list(episodes: Iterable[Mapping[str, Any]]) -> None:
    """The episodes of a folder, one a line, with their labels."""
    columns = ("episode", "outcome", "seconds", "rows", "seed", "tags", "notes")
    rows = ([_word(one[column]) for column in columns] for one in episodes)
    result_table(columns, rows)


def _print_plain(report: Report) -> None:
    """For a program: every fact; episodes of a folder as a table of their own, the verdict on stderr."""
    episodes = report.facts.get("episodes")
    if not isinstance(episodes, list):
        summary = [("verdict", report.grade.word), *(("reason", f"{r.grade.word}: {r.text}") for r in report.reasons)]
        result_table(("what", "value"), [*summary, *flat(report.facts)])
        return
    columns = list(episodes[0]) if episodes else ["episode"]
    result_table(columns, ([_word(row[column]) for column in columns] for row in episodes))
    notify(f"{report.grade.word}: {report.title}")
    for reason in report.reasons:
        notify(f"  {reason.grade.word}: {reason.text}")


def _paint(report: Report) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for line in screen(report, *console.size):
        console.print(line)


def screen(report: Report, width: int, height: int) -> "list[Text]":
    """At most `height - 1` lines of `width` columns, the last wrapped; the rest is in --json."""
    from rich.console import Console
    from rich.text import Text

    from ebt_cli.screens.widgets import clip

    # What is to be typed stays whole, if it takes two lines.
    following = Text.assemble(("next  ", "cyan"), escape_control(report.next))
    wrapped = len(following.wrap(Console(width=width), width))
    room = height - 4 - wrapped  # the verdict, two empty lines, what is next, the prompt
    reasons = sorted(report.reasons, key=lambda reason: -reason.grade)[: max(3, room - len(report.rows))]
    lines = [
        Text.assemble((report.grade.word.upper(), STYLES[report.grade]), ("  " + escape_control(report.title), "bold"))
    ]
    lines += [Text.assemble((f"  {MARKS[r.grade]} ", STYLES[r.grade]), escape_control(r.text)) for r in reasons]
    lines.append(Text())
    for label, value in report.rows[: max(0, room - len(reasons))]:
        text = escape_control(value) if isinstance(value, str) else value
        lines.append(Text.assemble((f"{label:<{LABEL}}", "dim"), text))
    return [*(clip(line, width) for line in [*lines, Text()]), following]


def flat(found: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested facts as lines, one line an event."""
    lines: list[tuple[str, str]] = []
    for name, value in found.items():
        if name == "events":
            lines += [("event", f"{event['time_s']:7.2f} s  {event['kind']}  {event['text']}") for event in value]
        elif isinstance(value, dict):
            lines += flat(value, f"{before}{name}.")
        else:
            lines.append((f"{before}{name}", _word(value)))
    return lines


def _word(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        if len(value) > MOST_VALUES:
            return f"{len(value)} values from {value[0]} to {value[-1]}; all of them with --json"
        return " ".join(map(str, value)) or "-"
    return str(value)
