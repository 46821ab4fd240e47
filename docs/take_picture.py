"""Takes the README's picture of the deploy screen from the real program: `python docs/take_picture.py RUN`.

Runs `ebt deploy` in tmux on the twin, the cube knocked out of the grip, waits until a retry is under way, and draws what
stands on the terminal then.
"""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from time import monotonic, sleep

from rich.console import Console
from rich.text import Text

SESSION, WIDTH, HEIGHT = "ebt-picture", 100, 30
WANTED = "back_off"  # this event stands on the screen when the picture is taken
PATIENCE_S = 120.0


def tmux(*words: str) -> str:
    """Run a tmux command and return what it prints."""
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def capture(run: Path, bench: str, out: Path) -> str:
    """The terminal's content, with its colours as escape sequences, once `WANTED` is seen on it."""
    ebt = Path(sys.executable).parent / "ebt"
    command = f"{ebt} deploy {run} --bench {bench} -n 3 --disturb knock --out {out}"
    tmux("new-session", "-d", "-s", SESSION, "-x", str(WIDTH), "-y", str(HEIGHT), command)
    try:
        deadline_s = monotonic() + PATIENCE_S
        while monotonic() < deadline_s:
            if WANTED in (screen := tmux("capture-pane", "-e", "-p", "-t", SESSION)):
                return screen
            sleep(0.1)
    finally:
        subprocess.run(["tmux", "kill-session", "-t", SESSION], check=False, capture_output=True)
    raise SystemExit(f"{WANTED!r} was not seen within {PATIENCE_S:g} s")


def main() -> None:
    run, bench = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "twin"
    screen = capture(run, bench, Path("data/episodes/picture"))
    console = Console(record=True, width=WIDTH, force_terminal=True, file=StringIO())
    console.print(Text.from_ansi(screen.rstrip()))
    target = Path(__file__).parent / "deploy.svg"
    console.save_svg(str(target), title=f"ebt deploy {run} --disturb knock")
    sys.stderr.write(f"{target}\n")


if __name__ == "__main__":
    main()
