"""What collect and deploy share: the operator's keys, the line printed per episode, and the versions stored in it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ebt_cli.terminal.console import bell, notify
from ebt_data.step import Event
from ebt_data.versions import installed_version

if TYPE_CHECKING:
    from ebt_cli.screens.collect_screen import BenchView
    from ebt_cli.screens.live import Painter
    from ebt_cli.terminal.verdict import Grade
    from ebt_data.step import BenchSpec
    from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Tick

STAMPED = ("ebt", "torch", "mujoco", "numpy", "h5py", "dynamixel-sdk", "pyrealsense2")
RINGING = ("hold", "give_up")
"""Events that ring the bell, since operators look at the arm and not at the screen."""


def versions() -> dict[str, str]:
    """Version by package, of those that are installed."""
    found = {name: installed_version(name) for name in STAMPED}
    return {name: version for name, version in found.items() if version is not None}


def repair_first(folder: Path) -> None:
    """Repair what an earlier, killed session left in the folder, and print what was done."""
    from ebt_data.recording.repair import repair

    if folder.is_dir():
        for sentence in repair(folder):
            notify(sentence, "yellow")


def report_fallbacks(spec: "BenchSpec") -> None:
    """Print, once, which fallback replaces a part of the twin that this machine lacks."""
    if not (spec.sim and spec.cameras):
        return
    from ebt_hardware.twin.render.lockstep_cameras import NO_REALSENSE, has_realsense
    from ebt_hardware.twin.render.rendering import SLOWEST, choose_renderer, explain

    if choose_renderer() == SLOWEST:
        _notify_once(explain(SLOWEST))
    if not has_realsense():
        _notify_once(NO_REALSENSE)


@cache
def _notify_once(text: str) -> None:
    notify(text, "yellow")


class LineEditor(Protocol):
    """Reads a line from the keyboard while the loop continues."""

    def start_line(self) -> None: ...

    def next_line(self) -> str | None: ...


class OperatorKeys:
    """Maps the operator's keys to commands while an episode runs; any key vetoes a retry.

    Each key is consumed once. A key that is no command vetoes a retry for one tick, so that a key pressed between two
    polls is not lost and an old one vetoes nothing.
    """

    def __init__(
        self, poll: Callable[[], str | None], *, back: bool = False, line_editor: "LineEditor | None" = None
    ) -> None:
        """`back`: b also redoes the previous episode. `line_editor`: p pauses, and n pauses and reads a note."""
        self._poll = poll
        self._back = back
        self._line_editor = line_editor
        self._stray = False
        self._marks: list[Event] = []

    def command(self) -> "Command":
        from ebt_recipes.loop.recording import Command

        key = self._poll()
        keys = {"s": Command.SAVE, "d": Command.DISCARD, "r": Command.REDO, "q": Command.STOP}
        if self._back:
            keys["b"] = Command.BACK
        if self._line_editor is not None:
            keys |= {"p": Command.PAUSE, "n": Command.NOTE}
            if note := self._line_editor.next_line():
                self._marks.append(Event("note", note))
        if key == "m":
            self._marks.append(Event("mark", "by the operator"))
        command = keys.get(key or "", Command.NONE)
        if command is Command.NOTE and self._line_editor is not None:
            self._line_editor.start_line()
        # A mark ends nothing, so it vetoes a retry like any other key.
        self._stray = key is not None and command is Command.NONE
        return command

    def said(self) -> "tuple[Event, ...]":
        """Marks and notes since the last call."""
        marks, self._marks = tuple(self._marks), []
        return marks

    def veto(self) -> bool:
        """True where a key was pressed since the tick before."""
        return self._stray or self._poll() is not None


def hooks(
    view: "BenchView",
    painter: "Painter",
    keys: OperatorKeys,
    attended: bool = True,
    advise: "Callable[[Path], tuple[Grade, str]] | None" = None,
) -> "Hooks":
    """Feed the screen, apply the keys, and ring for start, saved, redo, retry and fault.

    Without an operator (`attended` is false, as for the scripted one) only episodes that were not kept, or that `advise`
    grades as bad, are printed. `advise` grades an episode that was just saved.
    """
    from ebt_recipes.loop.recording import Hooks

    unjudged: list[Path] = []

    def watch(tick: "Tick") -> None:
        began = view.tick is None or view.ended is not None
        view.watch(tick)
        if (began and attended and not view.spec.lockstep) or any(event.kind in RINGING for event in tick.step.events):
            bell()

    def settled() -> None:
        for path in [path for path in unjudged if path.exists()]:
            unjudged.remove(path)
            assert advise is not None, "an episode waits here only to be graded"
            grade, advice = advise(path)
            if attended or grade > 1:
                painter.note(f"{path.name}  is on disk  {advice}", "yellow" if grade else "")

    def report(result: "EpisodeResult") -> None:
        view.report(result)
        settled()
        grade, advice = 0, ""
        if advise is not None and result.path is not None:
            if result.path.exists():
                grade, advice = advise(result.path)
            else:  # a long episode is still being sealed while the next one runs
                unjudged.append(result.path)
                advice = "being written to disk"
        if attended or result.path is None or grade > 1:
            line = f"{sentence(result)}  {advice}".rstrip()
            painter.note(line, "yellow" if grade or result.path is None else "")
            bell()

    return Hooks(on_tick=watch, report=report, on_saved=settled, command=keys.command, notes=keys.said)


def sentence(result: "EpisodeResult") -> str:
    """E.g. `episode_0003.h5  seed 12  success held  8.4 s  1 attempt`."""
    which = result.path.name if result.path else f"episode {result.episode} not kept"
    seed = "" if result.seed is None else f"  seed {result.seed}"
    ended = result.why if result.why.startswith(result.outcome) else f"{result.outcome}: {result.why}"
    tries = "1 attempt" if result.attempts == 1 else f"{result.attempts} attempts"
    return f"{which}{seed}  {ended}  {result.seconds:.1f} s  {tries}"


def rate_line(successes: int, judged: int, low: float, high: float) -> str:
    """E.g. `success 41/50 (69-90 %)`: the rate with its 95 % Wilson interval."""
    return f"success {successes}/{judged} ({100 * low:.0f}-{100 * high:.0f} %)"
