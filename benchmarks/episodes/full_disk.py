"""What `ebt collect` does on a disk that is full: before it begins, by its own recording, and by somebody else's doing."""

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

from benchmarks.episodes.collecting import RECORDINGS, EndedEarly, Session, look
from benchmarks.table import head, line

SMALL_MB, LARGE_MB = 24, 96
"""Less than the 64 MiB that a recording leaves free, and as much as lasts some seconds on top of them."""
FULL = 5
"""Exit code: docs/cli.md."""
STOLEN = 5
"""Recordings whose last byte of disk somebody else takes."""
LONGEST_TICKS = 1400
"""The arms' logs hold no more."""


class NoDisk(Exception):
    """There is no small disk to fill."""


@contextmanager
def small_disk(size_mb: int) -> Iterator[Path]:
    """A tmpfs for the time of the `with`.

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


def fill(folder: Path | None, seed: int) -> list[dict[str, Any]]:
    """Fill disks, write a table of what came of it, and return it; `folder` is used instead of the larger tmpfs."""
    chance = random.Random(f"{seed}/disk")
    found: list[dict[str, Any]] = []
    try:
        if folder is None:
            with small_disk(SMALL_MB) as disk:
                found.append({"disk": f"{SMALL_MB} MiB"} | _record(disk, None))
        for number in range(1 + STOLEN):
            ticks = None if number == 0 else chance.randint(5, 60)
            with (
                tempfile.TemporaryDirectory(prefix="episodes-", dir=folder) if folder else small_disk(LARGE_MB) as disk
            ):
                what = "filled by the recording" if ticks is None else f"last byte taken at tick {ticks}"
                found.append({"disk": what} | _record(Path(disk), ticks))
    except NoDisk as reason:
        found.append({"disk": str(reason)})
    sys.stdout.write(head(COLUMNS))
    sys.stdout.writelines(line([str(each.get(column, "not tried")) for column in COLUMNS]) for each in found)
    return found


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
                session.until(lambda: session.arms.ticks() >= ticks)
            _take_all(disk / "ballast")
        code = session.wait(LONGEST_TICKS)
        named = [path.name for path in sorted((disk / "episodes").glob("episode_*"))]
        (disk / "ballast").unlink(missing_ok=True)  # what the hint asks for
        found = look(disk / "episodes", session.arms.told(), recording)
        told = sum(max(map(len, goals.values())) for goals in session.arms.told().values())
    kept = re.search(r"rows kept of \w+: (\d+)", session.said)
    wrong = found.wrong + ([] if code == FULL and "Traceback" not in session.said else [session.said])
    if kept is not None and int(kept[1]) > found.rows:
        wrong.append("fewer rows than were said to be kept")
    return {
        "exit code": code,
        "ticks sent": told,
        "rows said kept": kept[1] if kept else "-",
        "rows after repair": found.rows,
        "left as": ", ".join(named) or "-",
        "wrong": "; ".join(wrong) or "-",
        "pictures": found.pictures,
        "said": session.said,
        "repair": found.said,
    }


def _take_all(ballast: Path) -> None:
    """Grow a file until there is no byte left."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(size))
