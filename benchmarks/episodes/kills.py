"""Kills recordings at seeded random moments and counts what is lost; then fills the disk during recordings.

    .venv/bin/python -m benchmarks.episodes.kills [--kills 34] [--seed 0] [--only colour/group ...] [--full-disk DIR]
        [--out kills.json]

The process that is killed is `ebt collect` (`collecting.py`), unchanged from its interpreter to its file, on arms that
this process emulates behind ptys and that log the goals sent to them (`emulated_arms.py`). In recordings with cameras,
`find_device` is replaced and returns an `rs.software_device` (`collect_replayed.py`); in the one with two arms nothing
is replaced.

Victims: `group`, every process of the command's process group with SIGKILL, without the writer, which has its own
session; `writer`, the writer alone; `both`, the group and the writer at once, as when a container is stopped.

Moments, drawn before each kill, cover the whole duration of a recording: in the 0.5 s after the file was named, while
the bench moves home, the layout is written and the first rows arrive (10 %); in the 0.1 s after the first tick (10 %);
after 5 to 150 ticks, anywhere within a tick (60 %); in the 0.15 s after the operator pressed "s", while the episode is
closed, synced, hashed, named and the next one started (20 %).

After the kill the folder is repaired as the next `ebt` does. A file is lost if it does not exist although the arms
were sent two goals or more, or if it cannot be read to its last picture. A tick is lost if the arms were sent it and
the file lacks it. A row is wrong if it differs from the goals sent at its tick, a picture if it differs from the
film's.

What a power cut can lose, which no process can reproduce: the name of a `.part` is synced when it is created, and
`fdatasync` is called once a second, in a thread, not again before the last call has returned. A cut between two syncs
loses the rows since the last one (of a second, and of as long as a slow disk takes). A cut during a sync, or a disk
that reorders writes, can leave HDF5's index incomplete, as the file has no journal: then rows at the end are lost, or
the current episode is left as `.part`, with all its rows (`power_cut.py` simulates both). A disk that reports cached
writes as written loses them too. Once `ebt` has reported an episode as saved, file, checksum and name are synced, and
nothing is lost."""

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

from benchmarks.episodes.collecting import RECORDINGS, EndedEarly, RepairReport, Session, check_episodes, wait_for_exit
from benchmarks.episodes.emulated_arms import RATE_HZ
from benchmarks.episodes.full_disk import fill_disks
from benchmarks.loop.session_metrics import machine
from benchmarks.table import head, line

ATTEMPTS = 5
"""Most sessions started for one kill, where the machine is too busy for the arms."""
UNREADABLE, INTERRUPTED = 5, 130
"""Exit codes where an episode cannot be written, and after a safe stop: docs/cli.md."""


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    after: str
    """`named`, `tick` or `saved`."""
    ticks: int
    """Ticks of the episode to wait for."""
    delay_s: float
    """Delay after that."""


def draw_moment(rng: random.Random) -> Moment:
    """A random moment of a recording."""
    share = rng.random()
    if share < 0.1:
        return Moment("named", 0, rng.uniform(0, 0.5))
    if share < 0.2:
        return Moment("tick", 1, rng.uniform(0, 0.1))
    if share < 0.8:
        return Moment("tick", rng.randint(5, 150), rng.uniform(0, 1 / RATE_HZ))
    return Moment("saved", rng.randint(5, 60), rng.uniform(0, 0.15))


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
    "writer": (UNREADABLE, INTERRUPTED),  # the latter where it continued with a new writer until it was stopped
    "both": (-signal.SIGKILL,),
}
"""Accepted exit codes of `ebt collect`, by victim."""


def kill(recording: str, victim: str, moment: Moment, folder: Path) -> RepairReport:
    """Run one session, kill it, repair its folder and check it.

    Raises:
        EndedEarly: the session ended before the kill.
    """
    recorded, episodes = RECORDINGS[recording], folder / "episodes"
    with Session(recorded, folder, episodes) as session:
        session.wait_until(lambda: session.arms.part() is not None)
        writer = session.writer()
        handle = os.pidfd_open(writer)
        try:
            session.wait_until(lambda: session.arms.ticks() >= moment.ticks)
            if moment.after == "saved":
                session.press("s")
            time.sleep(moment.delay_s)  # the seeded moment within a tick at which it is killed
            if session.process.poll() is not None:
                raise EndedEarly("ended by itself just before the kill")
            VICTIMS[victim](session.process.pid, writer)
            code = session.wait()
            ended = wait_for_exit(handle)
        finally:
            os.close(handle)
        report = check_episodes(episodes, session.arms.sent_goals(), recorded)
    if code not in CODES[victim] or "Traceback" in session.stderr:
        report.wrong.append(f"exit code {code}: {session.stderr}")
    if not ended:
        report.wrong.append("the writer does not end")
    return report


def kill_with_retries(recording: str, victim: str, moment: Moment) -> tuple[RepairReport, int]:
    """The same, restarted where the machine was too busy; also returns the number of failed starts."""
    for failed_starts in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="ebt-kills-") as name:
            try:
                return kill(recording, victim, moment, Path(name)), failed_starts
            except EndedEarly as early:
                last = early
                sys.stderr.write(f"{recording}/{victim}: {early}\n")
    raise last


def kills(recording: str, victim: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Kill `count` sessions; yields the figures of each."""
    rng = random.Random(f"{seed}/{recording}/{victim}")
    for number in range(count):
        moment = draw_moment(rng)
        report, failed_starts = kill_with_retries(recording, victim, moment)
        yield asdict(moment) | asdict(report) | {"vain": failed_starts}
        problems = "; ".join(report.wrong) or "nothing else"
        sys.stderr.write(f"{recording}/{victim} {number + 1}/{count} {moment}: {report.lost_ticks} lost, {problems}\n")


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
    "restarted",
)


def table_row(combination: str, reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """One combination's row of the table."""
    lost = Counter(min(each["lost_ticks"], 2) for each in reports)
    wrong = [text for each in reports for text in each["wrong"]]
    lost_files = [text for text in wrong if " lost: " in text]
    return [
        *combination.split("/"),
        str(len(reports)),
        str(sum(each["rows"] == 0 for each in reports)),
        str(len(lost_files)),
        f"{lost[0]} / {lost[1]} / {lost[2]}",
        str(max(each["lost_ticks"] for each in reports)),
        str(len(wrong) - len(lost_files)),
        str(sum(each["rows"] for each in reports)),
        str(sum(each["pictures"] for each in reports)),
        str(sum(each["vain"] for each in reports)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=34, help="of each recording by each victim")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="RECORDING/VICTIM", help="only these; `none` for none")
    parser.add_argument(
        "--full-disk", type=Path, metavar="DIR", help="a file system of about 96 MiB instead of a tmpfs"
    )
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    combinations = [f"{recording}/{victim}" for recording in RECORDINGS for victim in VICTIMS]
    load, figures = os.getloadavg()[0], {}
    for combination in combinations if args.only is None else [each for each in args.only if each in combinations]:
        recording, victim = combination.split("/")
        figures[combination] = list(kills(recording, victim, args.kills, args.seed))
    sys.stdout.write(head(COLUMNS))
    sys.stdout.writelines(line(table_row(combination, reports)) for combination, reports in figures.items() if reports)
    disk = fill_disks(args.full_disk, args.seed)
    facts = {
        "kills": figures,
        "full_disk": disk,
        "load": [load, os.getloadavg()[0]],
        "command": " ".join(["benchmarks.episodes.kills", *sys.argv[1:]]),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    if args.out:
        args.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
