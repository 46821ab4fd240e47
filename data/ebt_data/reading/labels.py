"""Labels added to an episode after recording: lines appended to `<episode>.labels.jsonl` beside it.

The recording is never opened for writing again, and no line is ever rewritten: a mistake is taken back by a line that
names it. A line is one JSON object, as `{"id": "9f0c...", "time": "2026-11-25T20:10:24+00:00", "by": "ada", "kind":
"trim", "value": [12, 480]}`:

    kind      value
    outcome   `success` or `failure`, in place of what was recorded
    note      text; all of them count
    tag       a word; all of them count
    untag     the word
    trim      [first, after]: rows outside are not used for training; null: all rows again
    exclude   true: not used for training and not counted; false: again
    undo      id of the line that is taken back

read_labels(episode) -> Labels       add_label(episode, kind, value, by) -> Line
read_lines(episode) -> list[Line]    undo_label(episode, by) -> Line
check_label(kind, value)             check_undo(episode) -> Line
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from ebt_data.errors import DataError, MisuseError
from ebt_data.files.commit import sync
from ebt_data.step import Outcome

SUFFIX = ".labels.jsonl"
LONGEST_NOTE, LONGEST_TAG = 2000, 40
_LARGEST = 1 << 22  # bytes; four thousand long notes
_WORDS = ("id", "time", "by", "kind")


@dataclass(frozen=True)
class Labels:
    """What holds after all lines."""

    outcome: Outcome | None = None
    """None: as recorded."""
    notes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    trim: tuple[int, int] | None = None
    """First row used for training, and the one after the last; None: all."""
    excluded: bool = False
    damaged: int = 0
    """Lines that a crash left incomplete; they are ignored."""


@dataclass(frozen=True)
class Line:
    """One label."""

    id: str
    time: str
    """ISO 8601, UTC."""
    by: str
    kind: str
    value: Any


def labels_path(episode: Path) -> Path:
    """The label file of an episode, whether it exists or not."""
    return episode.with_name(episode.stem + SUFFIX)


def read_labels(episode: Path) -> Labels:
    """The labels of an episode; empty where there are none.

    Raises:
        DataError: a line has an unknown kind, or the file is too large.
    """
    lines, damaged = _read(labels_path(episode))
    tags: dict[str, None] = {}
    found: dict[str, Any] = {"damaged": damaged}
    notes: list[str] = []
    for line in labels_in_force(lines):
        if line.kind == "outcome":
            found["outcome"] = Outcome(line.value)
        elif line.kind == "note":
            notes.append(line.value)
        elif line.kind == "tag":
            tags[line.value] = None
        elif line.kind == "untag":
            tags.pop(line.value, None)
        elif line.kind == "trim":
            found["trim"] = None if line.value is None else (line.value[0], line.value[1])
        else:
            found["excluded"] = line.value
    return Labels(**found, notes=tuple(notes), tags=tuple(tags))


def read_lines(episode: Path) -> list[Line]:
    """Every label ever added, oldest first, undone ones included.

    Raises:
        DataError: as `read_labels`.
    """
    return _read(labels_path(episode))[0]


def labels_in_force(lines: Sequence[Line]) -> list[Line]:
    """Those that were not taken back, and that take nothing back themselves."""
    undone = {line.value for line in lines if line.kind == "undo"}
    return [line for line in lines if line.kind != "undo" and line.id not in undone]


def add_label(episode: Path, kind: str, value: Any, by: str) -> Line:
    """Add a label; it is on disk when this returns, and concurrent additions are kept.

    Raises:
        MisuseError: the value is none of that kind.
        DataError: the folder cannot be written, or the labels there are damaged.
    """
    with _locked(labels_path(episode)) as handle:
        return _append(handle, kind, value, by)


def check_label(kind: str, value: Any) -> None:
    """Check that the label is valid.

    Raises:
        MisuseError: the value is none of that kind.
    """
    if wrong := _wrong(kind, value):
        raise MisuseError(wrong)


def undo_label(episode: Path, by: str) -> Line:
    """Undo the newest label in force; returns it.

    Raises:
        MisuseError: there is none.
        DataError: as `add_label`.
    """
    with _locked(labels_path(episode)) as handle:
        newest = check_undo(episode)
        _append(handle, "undo", newest.id, by)
    return newest


def check_undo(episode: Path) -> Line:
    """The newest label in force, which can be undone.

    Raises:
        MisuseError: there is none.
        DataError: as `read_labels`.
    """
    lines = labels_in_force(read_lines(episode))
    if not lines:
        raise MisuseError(f"{episode.name} has no label to undo", f"ebt label {episode}")
    return lines[-1]


def _append(handle: int, kind: str, value: Any, by: str) -> Line:
    check_label(kind, value)
    line = Line(uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds"), by, kind, value)
    size = os.fstat(handle).st_size
    torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    said = (b"\n" if torn else b"") + json.dumps(asdict(line)).encode() + b"\n"
    try:
        if os.write(handle, said) < len(said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)  # a label that is not on disk does not count
        raise
    return line


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for appending and locked."""
    try:
        fresh = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if fresh:
                sync(path.parent)
            yield handle
        finally:
            os.close(handle)  # and with it the lock
    except OSError as error:
        why = "it is a link, and labels are written through none" if path.is_symlink() else error.strerror
        raise DataError(f"cannot write {path}: {why}") from error


def _read(path: Path) -> tuple[list[Line], int]:
    """The lines, and how many are torn."""
    if not path.is_file():
        return [], 0
    if path.stat().st_size > _LARGEST:
        raise DataError(f"{path} is {path.stat().st_size >> 20} MiB large; labels are a few lines")
    try:
        told = path.read_text(errors="replace")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    lines: list[Line] = []
    torn = 0
    for number, text in enumerate(told.splitlines(), 1):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            torn += bool(text.strip())
            continue
        lines.append(_line(path, number, found))
    return lines, torn


def _line(path: Path, number: int, found: Any) -> Line:
    if (
        not isinstance(found, dict)
        or {*found} != {*_WORDS, "value"}
        or not all(isinstance(found[word], str) for word in _WORDS)
    ):
        raise DataError(f"line {number} of {path} is no label")
    line = Line(**found)
    if wrong := _wrong(line.kind, line.value):
        raise DataError(f"line {number} of {path}: {wrong}")
    return line


def _wrong(kind: str, value: Any) -> str:
    """What is wrong with a value of this kind; nothing where it is right."""
    expected = {
        "outcome": ("success or failure", value in ("success", "failure")),
        "note": (f"a text of up to {LONGEST_NOTE} characters", _is_text(value, LONGEST_NOTE)),
        "tag": (f"a word of up to {LONGEST_TAG} characters", _is_text(value, LONGEST_TAG) and value.split() == [value]),
        "untag": ("a tag", _is_text(value, LONGEST_TAG)),
        "trim": ("two rows, the first before the second, or null", value is None or _is_range(value)),
        "exclude": ("true or false", isinstance(value, bool)),
        "undo": ("the id of a line", isinstance(value, str)),
    }
    if kind not in expected:
        return f"{kind!r} is no kind of label; there are {', '.join(expected)}"
    what, right = expected[kind]
    return "" if right else f"{value!r:.80} is no {kind}: expected {what}"


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest


def _is_range(value: Any) -> bool:
    rows = isinstance(value, list | tuple) and len(value) == 2 and all(type(row) is int for row in value)
    return rows and 0 <= value[0] < value[1]
