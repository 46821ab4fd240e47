"""What collect and deploy have in common: the operator's keys, what is said of each episode, and what is stamped on it."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ebt_cli.terminal.console import bell, say
from ebt_data.step import Event

if TYPE_CHECKING:
    from ebt_cli.screens.collect_screen import BenchView
    from ebt_cli.screens.live import Painter
    from ebt_cli.terminal.verdict import Grade
    from ebt_data.step import BenchSpec
    from ebt_recipes.loop.recording import Command, EpisodeResult, Hooks, Tick

STAMPED = ("ebt", "torch", "mujoco", "numpy", "h5py", "dynamixel-sdk", "pyrealsense2")
RINGING = ("hold", "give_up")
"""Events that somebody who looks at the arm must hear of."""


def versions() -> dict[str, str]:
    """Version by package, of those that are installed."""
    found = {}
    for name in STAMPED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def repair_first(folder: Path) -> None:
    """Mend what an earlier, killed session left in the folder, and say so."""
    from ebt_data.recording.repair import repair

    if folder.is_dir():
        for sentence in repair(folder):
            say(sentence, "yellow")


def say_stand_ins(spec: "BenchSpec") -> None:
    """Say, once, what stands in for a part of the twin that this machine lacks."""
    if not (spec.sim and spec.cameras):
        return
    from ebt_hardware.twin.render.lockstep_cameras import NO_REALSENSE, has_realsense
    from ebt_hardware.twin.render.rendering import SLOWEST, choose_renderer, explain

    if choose_renderer() == SLOWEST:
        _say_once(explain(SLOWEST))
    if not has_realsense():
        _say_once(NO_REALSENSE)


@cache
def _say_once(text: str) -> None:
    say(text, "yellow")


class Pen(Protocol):
    """Takes a line from the keyboard, while the loop goes on."""

    def write(self) -> None: ...

    def written(self) -> str | None: ...


class Desk:
    """What the operator's keys mean: commands while an episode runs, and any key at all against a retry.

    A key is heard by whoever asks first; one that is no command counts against a retry for one tick, so that a key
    pressed between the two questions is not lost, and an old one vetoes nothing.
    """

    def __init__(self, poll: Callable[[], str | None], *, back: bool = False, pen: "Pen | None" = None) -> None:
        """`back`: b takes the episode before back, too. `pen`: p pauses, and n also writes a note with it."""
        self._poll = poll
        self._back = back
        self._pen = pen
        self._stray = False
        self._said: list[Event] = []

    def command(self) -> "Command":
        from ebt_recipes.loop.recording import Command

        key = self._poll()
        keys = {"s": Command.SAVE, "d": Command.DISCARD, "r": Command.REDO, "q": Command.STOP}
        if self._back:
            keys["b"] = Command.BACK
        if self._pen is not None:
            keys |= {"p": Command.PAUSE, "n": Command.NOTE}
            if note := self._pen.written():
                self._said.append(Event("note", note))
        if key == "m":
            self._said.append(Event("mark", "by the operator"))
        command = keys.get(key or "", Command.NONE)
        if command is Command.NOTE and self._pen is not None:
            self._pen.write()
        # A mark ends nothing, so that it counts against a retry like any other key.
        self._stray = key is not None and command is Command.NONE
        return command

    def said(self) -> "tuple[Event, ...]":
        """Marks and notes since this was last asked."""
        said, self._said = tuple(self._said), []
        return said

    def veto(self) -> bool:
        """True where a key was pressed since the tick before."""
        return self._stray or self._poll() is not None


def hooks(
    view: "BenchView",
    painter: "Painter",
    desk: Desk,
    attended: bool = True,
    advise: "Callable[[Path], tuple[Grade, str]] | None" = None,
) -> "Hooks":
    """Feed the screen, obey the keys, and ring for start, saved, redo, retry and fault.

    Where nobody attends, as when a script demonstrates, only what was not kept is said, and what should not have been.
    `advise` judges what was just saved.
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
            assert advise is not None, "only what is to be judged is kept for it"
            grade, advice = advise(path)
            if attended or grade > 1:
                painter.note(f"{path.name}  is on the disk  {advice}", "yellow" if grade else "")

    def report(result: "EpisodeResult") -> None:
        view.report(result)
        settled()
        grade, advice = 0, ""
        if advise is not None and result.path is not None:
            if result.path.exists():
                grade, advice = advise(result.path)
            else:  # a long one: it is on its way to the disk beside the next
                unjudged.append(result.path)
                advice = "on its way to the disk"
        if attended or result.path is None or grade > 1:
            told = f"{sentence(result)}  {advice}".rstrip()
            painter.note(told, "yellow" if grade or result.path is None else "")
            bell()

    return Hooks(watch=watch, report=report, settled=settled, command=desk.command, said=desk.said)


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
