"""Records episodes in a separate process, so that neither a slow disk nor a crash of HDF5 affects the control loop."""

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

QUEUE_BYTES = 64 << 20  # frames in the queue; about 1.2 s of two 640x480 cameras at 30 Hz
LOCKSTEP_ROWS = 64  # rows in the queue before a simulated loop waits
STALL_S = 3.0  # a real-time loop continues this long without a reply of the writer
REPLY_TIMEOUT_S = 60.0  # for start and commit: the disk may have to write its whole cache


@dataclass(frozen=True)
class _Row:
    """A row that the writer has not confirmed."""

    posted_s: float  # monotonic
    size: int  # bytes of pixels
    step: Step
    dropped: frozenset[str]


class Recorder:
    """Records episodes into one folder through a writer process; a context manager.

        with Recorder(folder, bench.spec) as recorder:
            path = recorder.start(EpisodeMeta(kind="demo", task="pick_place"))
            for step in run_episode(...):
                recorder.append(step)
            recorder.finish(Outcome.SUCCESS)

    Arrays in a step must not be changed after `append`. Leaving the block during an episode commits it as
    aborted. If this process dies, `repair(folder)` recovers the episode.
    """

    def __init__(
        self,
        folder: Path,
        spec: BenchSpec,
        *,
        quality: int | None = QUALITY,
        reserve_bytes: int = RESERVE_BYTES,
        frame_bytes: int = QUEUE_BYTES,
        stall_s: float = STALL_S,
    ) -> None:
        """Start and write nothing yet.

        `quality` is that of JPEG, 1 to 100, or None for lossless images; `reserve_bytes` are kept free on the disk; at
        most `frame_bytes` of pixels are queued.
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
        self._queued: deque[_Row] = deque()  # not yet confirmed
        self._bytes = 0  # of queued frames
        self._fault: DataError | None = None
        self.appended = 0
        """Rows of this episode given to `append`."""
        self.kept = 0
        """Rows of this episode that the writer confirmed: they are in the page cache and outlive every process."""

    @property
    def dropped(self) -> dict[str, int]:
        """Frames of this episode dropped because the writer could not keep up, by camera."""
        return self._gate.dropped

    @property
    def writer_pid(self) -> int | None:
        """Process id of the writer, None before it was started."""
        return None if self._process is None else self._process.pid

    @defer_signals  # interrupted before the reply, it would leave a file that nothing refers to
    def start(self, meta: EpisodeMeta) -> Path:
        """Start an episode; returns its final path. Until commit the file is named `.part`.

        Raises:
            MisuseError: the previous episode is neither finished nor discarded.
            DataError: the folder cannot be written.
        """
        if self._part is not None:
            raise MisuseError(f"{self._part.stem} is still being recorded: finish or discard it first")
        self._reset()
        self._ensure_writer().post("start", meta, wait_s=REPLY_TIMEOUT_S)
        self._meta = meta
        self._part = Path(self._await_reply("started"))
        return self._part.with_suffix(SUFFIX)

    def append(self, step: Step) -> None:
        """Queue one row; in real time this never waits for the disk.

        In lock-step it waits while the queue is full. In real time, camera frames are dropped instead (counted in
        `dropped` and marked in the file), rows never.

        Raises:
            DataError: the writer has died, cannot write or has stalled; `finish` keeps the earlier rows.
        """
        self._post(self._current_writer(), step)
        self._read_replies(0.0)
        if self._spec.lockstep:
            self._wait_for_room()
        elif len(self._queued) > 1 and time.monotonic() - self._queued[0].posted_s > self._stall_s:
            self._fail(DataError(f"the disk has accepted no row for {self._stall_s:g} s"))

    def finish(self, outcome: Outcome, wait_s: float | None = None) -> Path:
        """Commit the episode: synced, its sha256 recorded, read-only, named `.h5`; returns its path.

        Syncing and hashing take time in proportion to the file's size. After `wait_s` they continue in parallel to the
        next episode, and the path does not exist yet; by default this waits until they are done. After a fault the
        outcome is `aborted`. If the writer has died, the file is repaired first, and if it was killed, the rows that it
        had not written are appended.

        Raises:
            DataError: there is no row to keep, the disk does not respond, or there was a fault that `append` has not
                raised yet; then the episode is still committed.
        """
        process, known_fault = self._current_writer(faulty=True), self._fault
        process.post("finish", outcome, wait_s=REPLY_TIMEOUT_S)
        try:
            final = Path(self._await_reply("ended")).with_suffix(SUFFIX)
        except WriterDied as died:
            final = self._salvage(died.killed)
            self._fault = self._fault or self._with_row_count(died)
        finally:
            self._part = None
        if self._fault is not known_fault and self._fault is not None:
            self.wait_sealed(wait_s)
            raise self._fault
        self.wait_sealed(wait_s)
        return final

    def wait_sealed(self, wait_s: float | None = None) -> None:
        """Wait until every finished episode is sealed (synced, hashed, renamed), for at most `wait_s`.

        Raises:
            DataError: an episode cannot be sealed, or the disk does not respond. It is complete; `repair` seals it.
        """
        until_s = time.monotonic() + (wait_s or 0.0)
        while self._sealing:
            try:
                replies = self._replies(REPLY_TIMEOUT_S if wait_s is None else max(0.0, until_s - time.monotonic()))
            except WriterDied:
                self._seal_remaining()
                break
            if not replies and wait_s is None:
                raise DataError(f"the writer has not replied for {REPLY_TIMEOUT_S:g} s")
            if not replies:
                break
        if self._unsealed:
            message = "; ".join(self._unsealed)
            self._unsealed.clear()
            raise DataError(message, "free some space on the disk; the next use of the folder commits it")

    def _seal_remaining(self) -> None:
        """Commit the complete files that a dead writer had not sealed."""
        from ebt_data.recording.repair import repair_part

        for part in sorted(self._sealing):
            with suppress(FileNotFoundError, BlockingIOError):  # committed already, or another process repairs it
                repair_part(part)
        self._sealing.clear()

    def discard(self) -> None:
        """Close the episode and move it to `<folder>/.trash`; one without rows is deleted."""
        self._current_writer(faulty=True).post("discard", wait_s=REPLY_TIMEOUT_S)
        self._part = None
        self._await_reply("done")

    def __enter__(self) -> Self:
        self._ensure_writer()  # starting takes a third of a second, in parallel to opening the bench
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
            self.wait_sealed()
        except DataError as recorder_error:
            if error is None:
                raise
            error.add_note(str(recorder_error))  # the error that ended the block is raised
        finally:
            self._close()

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _ensure_writer(self) -> WriterProcess:
        if self._process is not None and not self._process.running():
            self.wait_sealed()
            self._close()
        if self._process is None:
            self._process = WriterProcess(self._folder, self._spec, *self._options)
        return self._process

    def _current_writer(self, *, faulty: bool = False) -> WriterProcess:
        if self._process is None or self._part is None:
            raise MisuseError("no episode is being recorded: call start first")
        if self._fault is not None and not faulty:
            raise self._fault
        return self._process

    @defer_signals
    def _post(self, process: WriterProcess, step: Step) -> None:
        row = self._row(step)
        self._queued.append(row)  # first, so that the row is salvaged if the writer turns out to be dead
        self._bytes += row.size
        self.appended += 1
        try:
            process.post_row(row.step, row.dropped)
        except DataError as error:
            self._fail(error)

    def _row(self, step: Step) -> "_Row":
        """The step with only those frames that the writer does not have and the queue has room for."""
        room = sys.maxsize if self._spec.lockstep else self._frame_bytes - self._bytes
        gated = self._gate.select(step.observation.frames, room)
        observation = replace(step.observation, frames=gated.frames, privileged=dict(step.observation.privileged))
        reduced = replace(step, observation=observation, events=(*step.events, *gated.events))
        return _Row(time.monotonic(), gated.size, reduced, gated.dropped)

    def _wait_for_room(self) -> None:
        while len(self._queued) >= LOCKSTEP_ROWS or self._bytes >= self._frame_bytes:
            if not self._read_replies(REPLY_TIMEOUT_S):
                self._fail(DataError(f"the writer has not replied for {REPLY_TIMEOUT_S:g} s"))

    def _await_reply(self, key: str) -> str:
        """Wait for the reply to a message that is not a row."""
        while True:
            replies = self._replies(REPLY_TIMEOUT_S)
            for reply in replies:
                if key in reply:
                    return str(reply[key])
                if "refused" in reply:
                    raise DataError(reply["refused"], reply["hint"])
            if not replies:
                raise DataError(f"the writer has not replied for {REPLY_TIMEOUT_S:g} s")

    def _read_replies(self, timeout_s: float) -> bool:
        """Process replies; False if there was none."""
        try:
            replies = self._replies(timeout_s)
        except WriterDied as died:
            self._fail(died)
        if self._fault is not None:
            raise self._fault
        return bool(replies)

    def _fail(self, error: DataError) -> NoReturn:
        self._fault = self._with_row_count(error)
        raise self._fault from error

    def _with_row_count(self, error: DataError) -> DataError:
        name = "the episode" if self._part is None else self._part.stem
        return DataError(f"{error} (rows kept of {name}: {self.kept})", error.hint)

    def _salvage(self, killed: bool) -> Path:
        """Repair the file of a dead writer, and append the rows that it had not written if it was killed."""
        from ebt_data.recording.salvage import salvage  # imports h5py, which the recorder does not need otherwise

        if self._part is None or self._meta is None:
            raise MisuseError("no episode is being recorded: call start first")
        final = self._part.with_suffix(SUFFIX)
        if final.exists():  # committed; only the reply is missing
            return final
        rows = [(row.step, row.dropped) for row in self._queued] if killed else []
        final, self.kept = salvage(self._part, self._spec, self._meta, self._options, rows)
        return final

    def _replies(self, timeout_s: float) -> list[dict[str, Any]]:
        if self._process is None or not self._process.has_replied(timeout_s):
            return []
        return self._handle_replies(self._process)

    @defer_signals
    def _handle_replies(self, process: WriterProcess) -> list[dict[str, Any]]:
        replies = process.replies()
        for reply in replies:
            if "ended" in reply:
                self._sealing.add(Path(reply["ended"]))
            if "sealed" in reply:
                self._sealing.discard(Path(reply["sealed"]))
                self._unsealed += [reply["unsealed"]] if "unsealed" in reply else []
            if "kept" in reply:
                self.kept = reply["kept"]
                self._bytes -= self._queued.popleft().size
                process.release_row()
            if "fault" in reply and self._fault is None:
                self._fault = self._with_row_count(DataError(reply["fault"], reply["hint"]))
        return replies
