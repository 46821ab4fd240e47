"""`ebt label`: set an episode's outcome after recording, trim or exclude it, or move it to the trash."""

import os
from collections.abc import Collection, Sequence
from getpass import getuser
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated

import typer

from ebt_cli.terminal.completion import complete_data
from ebt_cli.terminal.console import notify, result_table, short_path
from ebt_data.errors import DataError, MisuseError

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode
    from ebt_data.reading.labels import LabelEntry

Words = list[str]


def label(
    paths: Annotated[list[Path], typer.Argument(help="Episodes (.h5).", autocompletion=complete_data)],
    success: Annotated[
        bool | None, typer.Option("--success/--failure", help="Outcome, instead of the recorded one.")
    ] = None,
    note: Annotated[Words | None, typer.Option(metavar="TEXT", help="Add a remark.")] = None,
    tag: Annotated[Words | None, typer.Option(metavar="WORD", help="Add a tag.")] = None,
    untag: Annotated[Words | None, typer.Option(metavar="WORD", help="Take a tag off.")] = None,
    trim: Annotated[
        str, typer.Option(metavar="FROM:TO", help="Learn from these seconds only; either may be left out, `:` is all.")
    ] = "",
    exclude: Annotated[
        bool | None, typer.Option("--exclude/--include", help="Neither learn from it nor count it.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last label.")] = False,
    trash: Annotated[bool, typer.Option("--trash", help="Move it to the folder's .trash, labels and all.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Move it back out of .trash.")] = False,
) -> None:
    """Label recorded episodes: outcome, rows to skip, exclude from training, tags, notes; without options show the labels.

    The recordings are not touched: labels are lines in a file beside each, and can be undone.
    Example: ebt label data/episodes/episode_0003.h5 --trim 0.8: --note "hesitates at first"
    """
    from ebt_data.reading.episode import Episode
    from ebt_data.reading.labels import add_label, check_label, check_undo, undo_label

    added = _to_add(success, note, tag, untag, exclude)
    if sum((bool(added or trim), undo, trash, restore)) > 1:
        raise MisuseError("--undo, --trash and --restore cannot be combined with other options", "ebt label --help")
    for kind, value in added:
        check_label(kind, value)
    paths = list(dict.fromkeys(path.parent.resolve() / path.name for path in paths))
    ranges, tags = [], set[str]()
    for path in paths:  # check all of them before one is changed
        _check_there(path)
        with Episode(path) as episode:
            ranges.append(_rows(episode, trim) if trim else None)
            tags.update(episode.labels.tags)
        if undo:
            check_undo(path)
        if trash or restore:
            _check_move(path, back=restore)
    _check_untag(untag or (), tags, paths[0].parent)
    by = _user() if added or trim or undo else ""
    for path, rows in zip(paths, ranges, strict=True):
        for kind, value in [*added, *([("trim", rows)] if trim else [])]:
            add_label(path, kind, value, by)
        if undo:
            notify(f"{path.name}: undone: {_words(undo_label(path, by))}")
    if trash or restore:
        paths = [_move(path, back=restore) for path in paths]
    _show(paths)


def _check_there(path: Path) -> None:
    from ebt_data.files.commit import TRASH

    if path.is_dir():
        raise MisuseError(f"{path} is a folder; labels are of episodes", f"ebt label {short_path(path)}/*.h5")
    if not path.exists() and (gone := path.parent / TRASH / path.name).exists():
        raise DataError(f"there is no episode {path}; it is in the {TRASH}", f"ebt label {short_path(gone)} --restore")


def _check_untag(untag: Sequence[str], tags: Collection[str], folder: Path) -> None:
    for word in untag:
        if word not in tags:
            others = f"there are {', '.join(sorted(tags))}" if tags else "nor any other"
            raise MisuseError(
                f"none of them has the tag {word!r:.60}; {others}", f"ebt inspect {short_path(folder)} --list"
            )


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _to_add(
    success: bool | None, note: Words | None, tag: Words | None, untag: Words | None, exclude: bool | None
) -> list[tuple[str, object]]:
    """The labels to add, by kind."""
    added: list[tuple[str, object]] = []
    if success is not None:
        added.append(("outcome", "success" if success else "failure"))
    if exclude is not None:
        added.append(("exclude", exclude))
    added += [("untag", word) for word in untag or ()]
    added += [("tag", word) for word in tag or ()]
    return added + [("note", text) for text in note or ()]


def _rows(episode: "Episode", trim: str) -> tuple[int, int] | None:
    """The first row of `FROM:TO` and the one after the last; None for all."""
    import numpy as np

    ticks_s = episode.time["tick"]
    if not len(ticks_s):
        raise DataError(f"{episode.path} holds no row: nothing to trim")
    begin, colon, end = trim.partition(":")
    try:
        first_s, last_s = float(begin or "-inf"), float(end or "inf")
    except ValueError:
        colon = ""
    if not colon or (begin and not first_s >= 0) or (end and not last_s > 0):
        raise MisuseError(f"--trim {trim} is no range of seconds", "--trim 0.8:12.5, --trim 0.8: or --trim :12.5")
    first, after = (int(row) for row in np.searchsorted(ticks_s, (first_s, last_s)))
    if first >= after:
        raise MisuseError(f"--trim {trim} leaves nothing of {episode.path.name}, which ends at {ticks_s[-1]:.1f} s")
    return None if (first, after) == (0, len(episode)) else (first, after)


def _check_move(path: Path, *, back: bool) -> None:
    """Check that the file can be moved."""
    from ebt_data.files.commit import TRASH

    if (path.parent.name == TRASH) is not back:
        raise DataError(f"{path} is {f'in no {TRASH}' if back else f'in the {TRASH} already'}")
    trash = path.parent / TRASH
    if not back and (trash.exists() or trash.is_symlink()) and not trash.is_dir():
        raise DataError(f"cannot move {path}: {trash} is no folder", join(["mv", str(trash), f"{trash}.old"]))


def _move(path: Path, *, back: bool) -> Path:
    """Into the trash or out of it, with its labels."""
    from ebt_data.files.commit import discard, restore
    from ebt_data.reading.labels import labels_path

    beside = labels_path(path)
    try:
        moved = (restore if back else discard)(path)
        if beside.exists():
            beside.rename(labels_path(moved))
    except OSError as error:
        raise DataError(f"cannot move {path}: {error.strerror}") from error
    return moved


def _show(paths: list[Path]) -> None:
    """The labels in force, an episode a line; of a single one also its whole history."""
    from ebt_data.reading.episode import Episode
    from ebt_data.reading.labels import active_labels, read_label_entries

    rows = []
    for path in paths:
        with Episode(path) as episode:
            labels, kept = episode.labels, episode.trimmed
            ticks_s = episode.time["tick"]
            part = "all" if labels.trim is None else f"{ticks_s[kept.start]:.2f}:{ticks_s[kept.stop - 1]:.2f}"
            used = "no" if labels.excluded else part
            rows.append(
                (short_path(path), episode.effective_outcome, used, " ".join(labels.tags), "; ".join(episode.notes))
            )
        if labels.damaged:
            notify(f"{labels.damaged} lines of its labels are damaged and ignored", "yellow")
    result_table(("episode", "outcome", "learnt_from_s", "tags", "notes"), rows)
    if len(paths) == 1:
        lines = read_label_entries(paths[0])
        in_force = active_labels(lines)
        for line in lines:
            notify(f"{line.time}  {line.by}  {_words(line)}", "" if line in in_force else "dim")


def _words(line: "LabelEntry") -> str:
    return f"{line.kind} {line.value}"
