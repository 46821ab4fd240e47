"""Records episodes through a process of its own, so that neither a slow disk nor a crash reaches the loop."""

import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from ebt_data.errors import DataError, MisuseError
from ebt_data.files.atomic_files import RESERVE_BYTES
from ebt_data.files.commit import SUFFIX
from ebt_data.files.deferred_signals import defer_signals
from ebt_data.layout.codec import QUALITY
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.frame_gate import FrameGate
from ebt_data.recording.writer_process import WriterDied, WriterProcess
from ebt_data.step import BenchSpec, Outcome, Step

__all__ = ["EpisodeMeta", "Recorder"]

FRAME_BYTES = 64 << 20  # frames in the queue; about 1.2 s of two 640x480 cameras at 30 Hz
LOCKSTEP_ROWS = 64  # rows in the queue before a simulated loop waits
STALL_S = 3.0  # a live loop continues this long without a reply of the writer
ANSWER_S = 60.0  # to start, to commit: a disk may have to write out all that it holds back


@dataclass(frozen=True)
class _Row:
    """A row on its way to the writer."""

    posted_s: float  # monotonic
    size: int  # bytes of pixels
    step: Step
    dropped: frozenset[str]


class Recorder:
    """Owns the writer process of one folder; a context manager.

        with Recorder(folder, bench.spec) as recorder:
            path = recorder.start(EpisodeMeta(kind="demo", task="pick_place"))
            for step in run_episode(...):
                recorder.append(step)
            recorder.finish(Outcome.SUCCESS)

    Arrays in a step must not be changed after `append`. Leaving the block in the midst of an episode keeps it as
    aborted. Where this process dies, `repair(folder)` finds the episode.
    """

    def __init__(
        self,
        folder: Path,
        spec: BenchSpec,
        *,
        quality: int | None = QUALITY,
        reserve_bytes: int = RESERVE_BYTES,
        frame_bytes: int = FRAME_BYTES,
        stall_s: float = STALL_S,
    ) -> None:
        """Nothing is started or written yet.

        `quality` is the JPEG's, 1 to 100, or None for pictures without loss; `reserve_bytes` are left free on the disk;
        at most `frame_bytes` of pixels are queued.
        """
        self._folder, self._spec = folder, spec
        self._options = (quality, reserve_bytes)
        self._frame_bytes, self._stall_s = frame_bytes, stall_s
        self._process: WriterProcess | None = None
        self._part: Path | None = None  # the current episode
        self._meta: EpisodeMeta | None = None
        self._sealing: set[Path] = set()
        self._unsealed: list[str] = []
        self._reset()

    def _reset(self) -> None:
        self._gate = FrameGate()
        self._under_way: deque[_Row] = deque()  # not yet answered for
        self._bytes = 0  # of queued frames
        self._fault: DataError | None = None
        self.appended = 0
        """Rows of this episode given to `append`."""
        self.kept = 0
        """Rows of this episode that the writer confirmed: the operating system has them, so no process's death loses them."""

    @property
    def dropped(self) -> dict[str, int]:
        """Frames of this episode left out because the writer could not keep up, by camera."""
        return self._gate.dropped

    @property
    def writer_pid(self) -> int | None:
        """Process id of the writer, None before it was started."""
        return None if self._process is None else self._process.pid

    @defer_signals  # interrupted before the answer, a file would be left that nothing here refers to
    def start(self, meta: EpisodeMeta) -> Path:
        """Begin an episode and return the path that it will have; until then it is named `.part`.

        Raises:
            MisuseError: the episode before is neither finished nor discarded.
            DataError: the folder cannot be written.
        """
        if self._part is not None:
            raise MisuseError(f"{self._part.stem} is still being recorded: finish or discard it first")
        self._reset()
        self._running().post("start", meta, wait_s=ANSWER_S)
        self._meta = meta
        self._part = Path(self._answer("started"))
        return self._part.with_suffix(SUFFIX)

    def append(self, step: Step) -> None:
        """Hand over one row; never waits for the disk on a live bench.

        In lock-step it waits while the queue is full. Live, camera frames are left out instead (counted in `dropped`
        and marked in the file), rows never.

        Raises:
            DataError: the writer has died, cannot write on or has stalled; `finish` keeps the rows before.
        """
        self._post(self._recording(), step)
        self._read_replies(0.0)
        if self._spec.lockstep:
            self._wait_for_room()
        elif len(self._under_way) > 1 and time.monotonic() - self._under_way[0].posted_s > self._stall_s:
            self._fail(DataError(f"the disk has taken no row for {self._stall_s:g} s"))

    def finish(self, outcome: Outcome, wait_s: float | None = None) -> Path:
        """Commit the episode: on the disk, named `.h5`, its sha256 recorded, read-only; returns its path.

        Syncing and hashing take as long as the file is large. After `wait_s` they continue in parallel to the next episode, and the
        path is not there yet; by default all of it is waited for. After a fault the outcome is `aborted`;
        where the writer has died, what it wrote is repaired first, and where it was killed the rows that it had not
        written are added.

        Raises:
            DataError: there is no row to keep, the disk does not answer, or a fault that `append` has not raised yet;
                what was kept is kept then too.
        """
        process, known = self._recording(faulty=True), self._fault
        process.post("finish", outcome, wait_s=ANSWER_S)
        try:
            final = Path(self._answer("ended")).with_suffix(SUFFIX)
        except WriterDied as died:
            final = self._salvage(died.killed)
            self._fault = self._fault or self._described(died)
        finally:
            self._part = None
        if self._fault is not known and self._fault is not None:
            self.settle(wait_s)
            raise self._fault
        self.settle(wait_s)
        return final

    def settle(self, wait_s: float | None = None) -> None:
        """Wait until every finished episode is sealed, or so long.

        Raises:
            DataError: one cannot be sealed, or the disk does not answer. It is whole; the next use seals it.
        """
        until_s = time.monotonic() + (wait_s or 0.0)
        while self._sealing:
            try:
                replies = self._replies(ANSWER_S if wait_s is None else max(0.0, until_s - time.monotonic()))
            except WriterDied:
                self._seal_ourselves()
                break
            if not replies and wait_s is None:
                raise DataError(f"the writer has not replied for {ANSWER_S:g} s")
            if not replies:
                break
        if self._unsealed:
            said = "; ".join(self._unsealed)
            self._unsealed.clear()
            raise DataError(said, "free some space on the disk; the next use of the folder names it")

    def _seal_ourselves(self) -> None:
        """What a writer that died had only left to name."""
        from ebt_data.recording.repair import repair_part

        for part in sorted(self._sealing):
            with suppress(FileNotFoundError, BlockingIOError):  # committed already, or another process repairs it
                repair_part(part)
        self._sealing.clear()

    def discard(self) -> None:
        """End the episode and move it to `<folder>/.trash`; one without rows is removed."""
        self._recording(faulty=True).post("discard", wait_s=ANSWER_S)
        self._part = None
        self._answer("done")

    def __enter__(self) -> Self:
        self._running()  # takes a third of a second to start: let that pass while the bench opens
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._part is not None:
                if self.appended:
                    self.finish(Outcome.ABORTED)
                else:
                    self.discard()
            self.settle()
        except DataError as trouble:
            if error is None:
                raise
            error.add_note(str(trouble))  # what ended the block matters more
        finally:
            self._close()

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _running(self) -> WriterProcess:
        if self._process is not None and not self._process.running():
            self.settle()
            self._close()
        if self._process is None:
            self._process = WriterProcess(self._folder, self._spec, *self._options)
        return self._process

    def _recording(self, *, faulty: bool = False) -> WriterProcess:
        if self._process is None or self._part is None:
            raise MisuseError("no episode is being recorded: call start first")
        if self._fault is not None and not faulty:
            raise self._fault
        return self._process

    @defer_signals
    def _post(self, process: WriterProcess, step: Step) -> None:
        row = self._row(step)
        self._under_way.append(row)  # first, so that the row is salvaged if the writer turns out to be dead
        self._bytes += row.size
        self.appended += 1
        try:
            process.post_row(row.step, row.dropped)
        except DataError as error:
            self._fail(error)

    def _row(self, step: Step) -> "_Row":
        """The step with the frames that the writer lacks and has room for."""
        room = sys.maxsize if self._spec.lockstep else self._frame_bytes - self._bytes
        passed = self._gate.choose(step.observation.frames, room)
        observation = replace(step.observation, frames=passed.frames, privileged=dict(step.observation.privileged))
        light = replace(step, observation=observation, events=(*step.events, *passed.events))
        return _Row(time.monotonic(), passed.size, light, passed.dropped)

    def _wait_for_room(self) -> None:
        while len(self._under_way) >= LOCKSTEP_ROWS or self._bytes >= self._frame_bytes:
            if not self._read_replies(ANSWER_S):
                self._fail(DataError(f"the writer has not replied for {ANSWER_S:g} s"))

    def _answer(self, key: str) -> str:
        """Wait for the reply to a message that is not a row."""
        while True:
            replies = self._replies(ANSWER_S)
            for reply in replies:
                if key in reply:
                    return str(reply[key])
                if "refused" in reply:
                    raise DataError(reply["refused"], reply["hint"])
            if not replies:
                raise DataError(f"the writer has not replied for {ANSWER_S:g} s")

    def _read_replies(self, timeout_s: float) -> bool:
        """Take in replies; False where none came."""
        try:
            replies = self._replies(timeout_s)
        except WriterDied as died:
            self._fail(died)
        if self._fault is not None:
            raise self._fault
        return bool(replies)

    def _fail(self, error: DataError) -> NoReturn:
        self._fault = self._described(error)
        raise self._fault from error

    def _described(self, error: DataError) -> DataError:
        name = "the episode" if self._part is None else self._part.stem
        return DataError(f"{error} (rows kept of {name}: {self.kept})", error.hint)

    def _salvage(self, killed: bool) -> Path:
        """Repair what a dead writer left, and add the rows that it had not written where the disk would take them."""
        from ebt_data.recording.salvage import salvage  # brings h5py, which a recording process does not need otherwise

        if self._part is None or self._meta is None:
            raise MisuseError("no episode is being recorded: call start first")
        final = self._part.with_suffix(SUFFIX)
        if final.exists():  # committed; only the answer is missing
            return final
        rows = [(row.step, row.dropped) for row in self._under_way] if killed else []
        final, self.kept = salvage(self._part, self._spec, self._meta, self._options, rows)
        return final

    def _replies(self, timeout_s: float) -> list[dict[str, Any]]:
        if self._process is None or not self._process.has_replied(timeout_s):
            return []
        return self._take_in(self._process)

    @defer_signals
    def _take_in(self, process: WriterProcess) -> list[dict[str, Any]]:
        replies = process.replies()
        for reply in replies:
            if "ended" in reply:
                self._sealing.add(Path(reply["ended"]))
            if "sealed" in reply:
                self._sealing.discard(Path(reply["sealed"]))
                self._unsealed += [reply["unsealed"]] if "unsealed" in reply else []
            if "kept" in reply:
                self.kept = reply["kept"]
                self._bytes -= self._under_way.popleft().size
                process.row_taken()
            if "fault" in reply and self._fault is None:
                self._fault = self._described(DataError(reply["fault"], reply["hint"]))
        return replies
