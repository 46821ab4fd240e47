"""Kills recordings at seeded random moments and counts what is lost; then fills the disk under them.

    .venv/bin/python -m benchmarks.episodes.kills [--kills 34] [--seed 0] [--only colour/group ...] [--full-disk DIR] [--out kills.json]

What is killed is `ebt collect` (`collecting.py`), from its own interpreter down to its file, on arms that this process
emulates behind ptys and that keep their own count of what they were told (`swinging_arms.py`). Cameras that need no
hardware exist only where `find_device` finds an `rs.software_device`; that is the one thing replaced in the recordings
with cameras (`collect_films.py`), and nothing in the one with two arms.

Victims: `group`, every process of the command's group with SIGKILL, which the writer is not one of: it has a session of
its own; `writer`, the writer alone; `both`, the group and the writer at once, as a container that is ended does.

Moments, drawn before each kill, so that the whole life of a recording is covered: in the 0.5 s after the file was named, while
the bench goes home, the layout is written and the first rows come (10 %); in the 0.1 s after the first tick (10 %); 5 to
150 ticks in, anywhere in a tick (60 %); in the 0.15 s after the operator pressed "s", while the episode is closed, synced,
hashed, named and the next one begun (20 %).

After the kill the folder is repaired as the next `ebt` does. A file is lost that is not there though the arms were sent two
goals or more, or that cannot be read through, to its last picture. A tick is lost that the arms were sent and the file
lacks. A row is wrong that differs from the goals sent in its turn, a picture that differs from the film's.

What a power cut can lose, which no process can stage: the name of a `.part` is synced when it is made, and `fdatasync` is asked
for once a second, in a thread, not again before the last one is done. A cut between two syncs takes the rows since the last
(of a second, and of as long as a slow disk takes). A cut within one, and a disk that writes in another order than it was
told, can leave a part of HDF5's index without the rest, as the file has no journal: then rows at the end go, or the episode
under way is left as `.part`, with all its rows (`power_cut.py` simulates both). What a disk that lies
about its cache held goes too. Once `ebt` has said that an episode is saved, file, sum and name were synced, and nothing goes.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.episodes.collecting import RECORDINGS, EndedEarly, Found, Session, ends, look
from benchmarks.episodes.full_disk import fill
from benchmarks.episodes.swinging_arms import RATE_HZ
from benchmarks.loop.session_watch import machine
from benchmarks.table import head, line

TRIES = 5
"""Sessions begun for one kill, where the machine is too busy for the arms."""
UNREADABLE, INTERRUPTED = 5, 130
"""Exit codes where an episode cannot be written, and after a safe stop: docs/cli.md."""


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    after: str
    """`named`, `tick` or `saved`."""
    ticks: int
    """Of the episode, before which nothing is done."""
    delay_s: float
    """After that."""


def draw(chance: random.Random) -> Moment:
    """A random moment of a recording's life."""
    share = chance.random()
    if share < 0.1:
        return Moment("named", 0, chance.uniform(0, 0.5))
    if share < 0.2:
        return Moment("tick", 1, chance.uniform(0, 0.1))
    if share < 0.8:
        return Moment("tick", chance.randint(5, 150), chance.uniform(0, 1 / RATE_HZ))
    return Moment("saved", chance.randint(5, 60), chance.uniform(0, 0.15))


def _group(group: int, writer: int) -> None:
    os.killpg(group, signal.SIGKILL)


def _writer(group: int, writer: int) -> None:
    os.kill(writer, signal.SIGKILL)


def _both(group: int, writer: int) -> None:
    _group(group, writer)
    _writer(group, writer)


VICTIMS: Mapping[str, Callable[[int, int], None]] = {"group": _group, "writer": _writer, "both": _both}

CODES = {
    "group": (-signal.SIGKILL,),
    "writer": (UNREADABLE, INTERRUPTED),  # the latter where it went on with a new writer until it was told to stop
    "both": (-signal.SIGKILL,),
}
"""How `ebt collect` may end, by victim."""


def kill(recording: str, victim: str, moment: Moment, folder: Path) -> Found:
    """One session, killed, repaired and looked at.

    Raises:
        EndedEarly: it ended before.
    """
    what, episodes = RECORDINGS[recording], folder / "episodes"
    with Session(what, folder, episodes) as session:
        session.until(lambda: session.arms.part() is not None)
        writer = session.writer()
        handle = os.pidfd_open(writer)
        try:
            session.until(lambda: session.arms.ticks() >= moment.ticks)
            if moment.after == "saved":
                session.type("s")
            time.sleep(moment.delay_s)  # the seeded moment within a tick at which it is killed
            if session.process.poll() is not None:
                raise EndedEarly("ended by itself just before it was killed")
            VICTIMS[victim](session.process.pid, writer)
            code = session.wait()
            ended = ends(handle)
        finally:
            os.close(handle)
        found = look(episodes, session.arms.told(), what)
    if code not in CODES[victim] or "Traceback" in session.said:
        found.wrong.append(f"exit code {code}: {session.said}")
    if not ended:
        found.wrong.append("the writer does not end")
    return found


def insistent(recording: str, victim: str, moment: Moment) -> tuple[Found, int]:
    """The same, begun anew where the machine was too busy; with how many were begun in vain."""
    for vain in range(TRIES):
        with tempfile.TemporaryDirectory(prefix="ebt-kills-") as name:
            try:
                return kill(recording, victim, moment, Path(name)), vain
            except EndedEarly as early:
                last = early
                sys.stderr.write(f"{recording}/{victim}: {early}\n")
    raise last


def kills(recording: str, victim: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Kill so many sessions; each one's figures."""
    chance = random.Random(f"{seed}/{recording}/{victim}")
    for number in range(count):
        moment = draw(chance)
        found, vain = insistent(recording, victim, moment)
        yield asdict(moment) | asdict(found) | {"vain": vain}
        told = "; ".join(found.wrong) or "nothing else"
        sys.stderr.write(f"{recording}/{victim} {number + 1}/{count} {moment}: {found.lost_ticks} lost, {told}\n")


COLUMNS = (
    "recording",
    "victim",
    "kills",
    "before a row",
    "files lost",
    "ticks lost 0 / 1 / more",
    "most",
    "wrong",
    "rows",
    "pictures",
    "begun anew",
)


def row(combination: str, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """One combination's line of the table."""
    lost = Counter(min(each["lost_ticks"], 2) for each in found)
    wrong = [text for each in found for text in each["wrong"]]
    gone = [text for text in wrong if " lost: " in text]
    return [
        *combination.split("/"),
        str(len(found)),
        str(sum(each["rows"] == 0 for each in found)),
        str(len(gone)),
        f"{lost[0]} / {lost[1]} / {lost[2]}",
        str(max(each["lost_ticks"] for each in found)),
        str(len(wrong) - len(gone)),
        str(sum(each["rows"] for each in found)),
        str(sum(each["pictures"] for each in found)),
        str(sum(each["vain"] for each in found)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=34, help="of each recording by each victim")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="RECORDING/VICTIM", help="instead of all; `none` for none")
    parser.add_argument(
        "--full-disk", type=Path, metavar="DIR", help="a file system of about 96 MiB instead of a tmpfs"
    )
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    asked = parser.parse_args()
    combinations = [f"{recording}/{victim}" for recording in RECORDINGS for victim in VICTIMS]
    load, figures = os.getloadavg()[0], {}
    for combination in combinations if asked.only is None else [each for each in asked.only if each in combinations]:
        recording, victim = combination.split("/")
        figures[combination] = list(kills(recording, victim, asked.kills, asked.seed))
    sys.stdout.write(head(COLUMNS))
    sys.stdout.writelines(line(row(combination, found)) for combination, found in figures.items() if found)
    disk = fill(asked.full_disk, asked.seed)
    found = {
        "kills": figures,
        "full_disk": disk,
        "load": [load, os.getloadavg()[0]],
        "command": " ".join(["benchmarks.episodes.kills", *sys.argv[1:]]),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
