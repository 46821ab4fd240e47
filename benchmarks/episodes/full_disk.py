"""`ebt collect` on a full disk: full before it starts, filled by its recording, or filled by another program."""

import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.episodes.collecting import RECORDINGS, EndedEarly, Session, check_episodes
from benchmarks.table import head, line

SMALL_MB, LARGE_MB = 24, 96
"""Less than the 64 MiB that a recording leaves free; and enough for some seconds beyond them."""
FULL = 5
"""Exit code: docs/cli.md."""
TAKEN_DISKS = 5
"""Recordings during which another program takes the last byte."""
LONGEST_TICKS = 1400
"""Capacity of the arms' logs."""


class NoDisk(Exception):
    """No small disk can be mounted."""


@contextmanager
def small_disk(size_mb: int) -> Iterator[Path]:
    """A tmpfs, mounted while the `with` lasts.

    Raises:
        NoDisk: none can be mounted here.
    """
    with tempfile.TemporaryDirectory(prefix="ebt-disk-") as folder:
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", folder], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoDisk(f"no tmpfs can be mounted here: {error}") from error
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def fill_disks(folder: Path | None, seed: int) -> list[dict[str, Any]]:
    """Fill disks, write the results as a table and return them; `folder` is used instead of the larger tmpfs."""
    rng = random.Random(f"{seed}/disk")
    rows: list[dict[str, Any]] = []
    try:
        if folder is None:
            with small_disk(SMALL_MB) as disk:
                rows.append({"disk": f"{SMALL_MB} MiB"} | _record(disk, None))
        for number in range(1 + TAKEN_DISKS):
            ticks = None if number == 0 else rng.randint(5, 60)
            with (
                tempfile.TemporaryDirectory(prefix="episodes-", dir=folder) if folder else small_disk(LARGE_MB) as disk
            ):
                case = "filled by the recording" if ticks is None else f"last byte taken at tick {ticks}"
                rows.append({"disk": case} | _record(Path(disk), ticks))
    except NoDisk as reason:
        rows.append({"disk": str(reason)})
    sys.stdout.write(head(COLUMNS))
    sys.stdout.writelines(line([str(each.get(column, "not tried")) for column in COLUMNS]) for each in rows)
    return rows


COLUMNS = ("disk", "exit code", "ticks sent", "rows said kept", "rows after repair", "left as", "wrong")


def _record(disk: Path, ticks: int | None) -> dict[str, Any]:
    """Record until the disk is full; the last byte is taken at this tick where one is given."""
    recording = RECORDINGS["colour"]
    with (
        tempfile.TemporaryDirectory(prefix="ebt-full-") as name,
        Session(recording, Path(name), disk / "episodes") as session,
    ):
        if ticks is not None:
            with suppress(EndedEarly):
                session.wait_until(lambda: session.arms.ticks() >= ticks)
            _fill_up(disk / "ballast")
        code = session.wait(LONGEST_TICKS)
        file_names = [path.name for path in sorted((disk / "episodes").glob("episode_*"))]
        (disk / "ballast").unlink(missing_ok=True)  # as the hint of the message says
        report = check_episodes(disk / "episodes", session.arms.sent_goals(), recording)
        sent = sum(max(map(len, goals.values())) for goals in session.arms.sent_goals().values())
    kept = re.search(r"rows kept of \w+: (\d+)", session.stderr)
    wrong = report.wrong + ([] if code == FULL and "Traceback" not in session.stderr else [session.stderr])
    if kept is not None and int(kept[1]) > report.rows:
        wrong.append("fewer rows than were reported as kept")
    return {
        "exit code": code,
        "ticks sent": sent,
        "rows said kept": kept[1] if kept else "-",
        "rows after repair": report.rows,
        "left as": ", ".join(file_names) or "-",
        "wrong": "; ".join(wrong) or "-",
        "pictures": report.pictures,
        "said": session.stderr,
        "repair": report.said,
    }


def _fill_up(ballast: Path) -> None:
    """Grow a file until the disk has no byte left."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(size))
