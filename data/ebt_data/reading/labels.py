"""Labels added to an episode after recording: lines appended to `<episode>.labels.jsonl` beside it.

The recording is never opened for writing again, and no line is ever rewritten: a line is undone by appending another
line with its id. A line is one JSON object, such as `{"id": "9f0c...", "time": "2026-11-25T20:10:24+00:00", "by":
"ada", "kind": "trim", "value": [12, 480]}`:

    kind      value
    outcome   `success` or `failure`, replaces the recorded outcome
    note      text; all are kept
    tag       a word; all are kept
    untag     the word
    trim      [first, after]: rows outside are not used for training; null: all rows are
    exclude   true: not used for training or counted; false: used
    undo      id of the line to undo

read_labels(episode) -> Labels                     add_label(episode, kind, value, by) -> LabelEntry
read_label_entries(episode) -> list[LabelEntry]    undo_label(episode, by) -> LabelEntry
check_label(kind, value)                           check_undo(episode) -> LabelEntry
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
MAX_NOTE_CHARS, MAX_TAG_CHARS = 2000, 40
_MAX_BYTES = 1 << 22  # bytes; four thousand long notes
_TEXT_FIELDS = ("id", "time", "by", "kind")


@dataclass(frozen=True)
class Labels:
    """The labels of an episode after all entries are applied."""

    outcome: Outcome | None = None
    """None: the recorded outcome holds."""
    notes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    trim: tuple[int, int] | None = None
    """First row used for training, and the one after the last; None: all rows."""
    excluded: bool = False
    damaged: int = 0
    """Number of lines that a crash left incomplete; they are ignored."""


@dataclass(frozen=True)
class LabelEntry:
    """One line of the label file."""

    id: str
    time: str
    """ISO 8601, UTC."""
    by: str
    kind: str
    value: Any


def labels_path(episode: Path) -> Path:
    """The label file of an episode, which may not exist."""
    return episode.with_name(episode.stem + SUFFIX)


def read_labels(episode: Path) -> Labels:
    """The labels of an episode; empty if there are none.

    Raises:
        DataError: a line has an unknown kind, or the file is too large.
    """
    lines, damaged = _read_file(labels_path(episode))
    tags: dict[str, None] = {}
    state: dict[str, Any] = {"damaged": damaged}
    notes: list[str] = []
    for line in active_labels(lines):
        if line.kind == "outcome":
            state["outcome"] = Outcome(line.value)
        elif line.kind == "note":
            notes.append(line.value)
        elif line.kind == "tag":
            tags[line.value] = None
        elif line.kind == "untag":
            tags.pop(line.value, None)
        elif line.kind == "trim":
            state["trim"] = None if line.value is None else (line.value[0], line.value[1])
        else:
            state["excluded"] = line.value
    return Labels(**state, notes=tuple(notes), tags=tuple(tags))


def read_label_entries(episode: Path) -> list[LabelEntry]:
    """Every label ever added, oldest first, undone ones included.

    Raises:
        DataError: as `read_labels`.
    """
    return _read_file(labels_path(episode))[0]


def active_labels(lines: Sequence[LabelEntry]) -> list[LabelEntry]:
    """The entries that were not undone, without the undo entries."""
    undone = {line.value for line in lines if line.kind == "undo"}
    return [line for line in lines if line.kind != "undo" and line.id not in undone]


def add_label(episode: Path, kind: str, value: Any, by: str) -> LabelEntry:
    """Add a label; it is on disk when this returns, and concurrent additions are kept.

    Raises:
        MisuseError: the value is not valid for that kind.
        DataError: the folder cannot be written, or the labels there are damaged.
    """
    with _locked(labels_path(episode)) as handle:
        return _append(handle, kind, value, by)


def check_label(kind: str, value: Any) -> None:
    """Check that the label is valid.

    Raises:
        MisuseError: the value is not valid for that kind.
    """
    if error := _validation_error(kind, value):
        raise MisuseError(error)


def undo_label(episode: Path, by: str) -> LabelEntry:
    """Undo the newest active label; returns it.

    Raises:
        MisuseError: there is none.
        DataError: as `add_label`.
    """
    with _locked(labels_path(episode)) as handle:
        newest = check_undo(episode)
        _append(handle, "undo", newest.id, by)
    return newest


def check_undo(episode: Path) -> LabelEntry:
    """The newest active label, which is the one to undo.

    Raises:
        MisuseError: there is none.
        DataError: as `read_labels`.
    """
    lines = active_labels(read_label_entries(episode))
    if not lines:
        raise MisuseError(f"{episode.name} has no label to undo", f"ebt label {episode}")
    return lines[-1]


def _append(handle: int, kind: str, value: Any, by: str) -> LabelEntry:
    check_label(kind, value)
    line = LabelEntry(uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds"), by, kind, value)
    size = os.fstat(handle).st_size
    torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    data = (b"\n" if torn else b"") + json.dumps(asdict(line)).encode() + b"\n"
    try:
        if os.write(handle, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)  # an entry that is not on disk is not a label
        raise
    return line


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for appending and locked."""
    try:
        is_new = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if is_new:
                sync(path.parent)
            yield handle
        finally:
            os.close(handle)  # releases the lock
    except OSError as error:
        why = "it is a link, and labels are not written through links" if path.is_symlink() else error.strerror
        raise DataError(f"cannot write {path}: {why}") from error


def _read_file(path: Path) -> tuple[list[LabelEntry], int]:
    """The entries, and how many lines are incomplete."""
    if not path.is_file():
        return [], 0
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path} is {path.stat().st_size >> 20} MiB large, more than any label file")
    try:
        content = path.read_text(errors="replace")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    lines: list[LabelEntry] = []
    torn = 0
    for number, text in enumerate(content.splitlines(), 1):
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            torn += bool(text.strip())
            continue
        lines.append(_parse_entry(path, number, fields))
    return lines, torn


def _parse_entry(path: Path, number: int, fields: Any) -> LabelEntry:
    if (
        not isinstance(fields, dict)
        or {*fields} != {*_TEXT_FIELDS, "value"}
        or not all(isinstance(fields[word], str) for word in _TEXT_FIELDS)
    ):
        raise DataError(f"line {number} of {path} is not a label")
    line = LabelEntry(**fields)
    if error := _validation_error(line.kind, line.value):
        raise DataError(f"line {number} of {path}: {error}")
    return line


def _validation_error(kind: str, value: Any) -> str:
    """Why a value is not valid for this kind; empty if it is."""
    expected = {
        "outcome": ("success or failure", value in ("success", "failure")),
        "note": (f"text of up to {MAX_NOTE_CHARS} characters", _is_text(value, MAX_NOTE_CHARS)),
        "tag": (
            f"a word of up to {MAX_TAG_CHARS} characters",
            _is_text(value, MAX_TAG_CHARS) and value.split() == [value],
        ),
        "untag": ("a tag", _is_text(value, MAX_TAG_CHARS)),
        "trim": ("two rows, the first before the second, or null", value is None or _is_range(value)),
        "exclude": ("true or false", isinstance(value, bool)),
        "undo": ("the id of a line", isinstance(value, str)),
    }
    if kind not in expected:
        return f"{kind!r} is not a kind of label; known are {', '.join(expected)}"
    expectation, valid = expected[kind]
    return "" if valid else f"{value!r:.80} is not a valid {kind}: expected {expectation}"


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest


def _is_range(value: Any) -> bool:
    rows = isinstance(value, list | tuple) and len(value) == 2 and all(type(row) is int for row in value)
    return rows and 0 <= value[0] < value[1]
