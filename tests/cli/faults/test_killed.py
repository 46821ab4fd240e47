"""`ebt collect` killed at any moment: what the arms were told is in the file, but for one tick at most.

The arms are emulated in this process, so that what they saw survives any kill; `benchmarks/episodes/kills.py` kills hundreds.
"""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from benchmarks.episodes.collecting import EndedEarly, Recording, Session, check_episodes
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.repair import repair
from ebt_data.step import Outcome

ONE_ARM = Recording()
PATIENCE_S = 30.0


def in_three_tries(session: Callable[[Path], None], folder: Path) -> None:
    """Run a session that is killed; one that the machine was too busy for is begun anew, with arms of its own."""
    for number in range(3):
        try:
            (folder / str(number)).mkdir()
            return session(folder / str(number))
        except EndedEarly as busy:
            last = busy
    raise last


def assert_rows_are_goals(session: Session, out: Path) -> None:
    """The one episode is marked as aborted, and its rows are what the arm was sent, but for the last at most."""
    found = check_episodes(out, session.arms.sent_goals(), ONE_ARM)
    assert (found.wrong, found.episodes) == ([], 1)
    assert found.lost_ticks <= 1 and found.rows > 1
    with Episode(list_episodes(out)[0]) as episode:
        assert (episode.outcome, episode.complete) == (Outcome.ABORTED, False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killing_everything_loses_at_most_one_tick(tmp_path: Path, seed: int) -> None:
    ticks = random.Random(seed).randint(20, 60)

    def session(folder: Path) -> None:
        out = folder / "episodes"
        with Session(ONE_ARM, folder, out) as killed:
            killed.wait_until(lambda: killed.arms.ticks() >= ticks)
            os.killpg(killed.process.pid, signal.SIGKILL)
            killed.wait()
            said = repair_when_let_go(out)
            assert len(said) == 1 and "marked as aborted" in said[0]
            assert_rows_are_goals(killed, out)

    in_three_tries(session, tmp_path)


def repair_when_let_go(out: Path) -> list[str]:
    """The writer lives in a session of its own and still writes what had reached it; `repair` passes over it."""
    deadline_s = monotonic() + PATIENCE_S
    while not (said := repair(out)):
        assert monotonic() < deadline_s, "the writer never let go of the file"
    return said


@pytest.mark.slow
def test_killing_the_writer_alone_loses_at_most_one_tick_and_holds_the_arm(tmp_path: Path) -> None:
    def session(folder: Path) -> None:
        out = folder / "episodes"
        with Session(ONE_ARM, folder, out) as killed:
            killed.wait_until(lambda: killed.arms.ticks() >= 30)
            os.kill(killed.writer(), signal.SIGKILL)
            assert killed.wait() == 5
            assert "killed by SIGKILL" in killed.stderr and "Traceback" not in killed.stderr
            (follower,) = killed.arms.followers.values()
            assert all(motor["torque_enable"] == 1 for motor in follower.motors.values())
            assert_rows_are_goals(killed, out)

    in_three_tries(session, tmp_path)
