"""Takes the README's pictures of the live screens from the real program: `python docs/take_picture.py RUN [VERB ...]`.

Runs `ebt collect`, `train` and `deploy` (or those of them that are named) on the twin, each in a terminal of tmux, waits
until what the picture is about stands on the screen, and draws the cells of that terminal into `docs/VERB.png`. A PNG,
since an SVG is drawn with whatever fonts its reader has, and block characters of most fonts leave gaps.
"""

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

SESSION, WIDTH, HEIGHT = "ebt-picture", 80, 24
PATIENCE_S = 400.0
SIZE_PX, CELL, EDGE = 20, (12, 24), 16  # of a letter, of its cell (width, height), around all
COLORS = 128  # of the palette; a terminal has few, and letters have soft edges
PAPER, INK = (20, 22, 27), (212, 215, 221)
RED, GREEN, YELLOW, BLUE = (224, 84, 78), (104, 178, 92), (222, 172, 76), (92, 148, 224)
THEME = TerminalTheme(PAPER, INK, [PAPER, RED, GREEN, YELLOW, BLUE, (178, 120, 208), (86, 178, 190), INK])


@dataclass(frozen=True)
class Scene:
    """What is run, and what stands on the screen when the picture is taken."""

    command: str
    wanted: str
    """A regular expression over all lines of the screen."""


def scenes(run: Path) -> dict[str, Scene]:
    """By verb; each runs in a folder of its own. Training learns from a few demonstrations that are recorded first."""
    return {
        "collect": Scene("collect --bench twin_live -n 3", r"episode 2 of 3 .* t +2\.\d of"),
        "train": Scene("train pick_place.toml", r" [78]\d% "),
        "deploy": Scene(f"deploy {run} -n 3 --seed 600001 --disturb knock", r"episode 2 of 3 .*▲again"),
    }


def tmux(*words: str) -> str:
    """Run a tmux command and return what it prints."""
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def capture(scene: Scene, work: Path) -> str:
    """The terminal's content, with its colours as escape sequences, when `wanted` is first seen on it."""
    command = f"{Path(sys.executable).parent / 'ebt'} {scene.command}"
    tmux("new-session", "-d", "-s", SESSION, "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(work), command)
    try:
        deadline_s = monotonic() + PATIENCE_S
        while monotonic() < deadline_s:
            screen = tmux("capture-pane", "-e", "-p", "-t", SESSION)
            if re.search(scene.wanted, re.sub(r"\x1b\[[0-9;]*m", "", screen), re.DOTALL):
                return screen
            sleep(0.05)
    finally:
        subprocess.run(["tmux", "kill-session", "-t", SESSION], check=False, capture_output=True)
    raise SystemExit(f"{scene.wanted!r} was not seen within {PATIENCE_S:g} s")


def draw(screen: str, out: Path) -> None:
    """Every cell of the terminal as a letter of DejaVu Sans Mono, which matplotlib brings along."""
    lines = Console(width=WIDTH, force_terminal=True, legacy_windows=False).render_lines(
        Text.from_ansi(screen.rstrip("\n")), pad=False
    )
    size = (WIDTH * CELL[0] + 2 * EDGE, len(lines) * CELL[1] + 2 * EDGE)
    image = Image.new("RGB", size, PAPER)
    fonts = {bold: _font("DejaVuSansMono-Bold.ttf" if bold else "DejaVuSansMono.ttf") for bold in (False, True)}
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        column = 0
        for segment in Segment.simplify(line):
            style = segment.style or Style.null()
            for letter in segment.text:
                place = (EDGE + column * CELL[0], EDGE + row * CELL[1])
                _cell(pen, place, letter, fonts[bool(style.bold)], _ink(style))
                column += 1
    image.quantize(COLORS, Image.Quantize.MAXCOVERAGE).save(out, optimize=True)


def _cell(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    letter: str,
    font: ImageFont.FreeTypeFont,
    ink: tuple[int, int, int],
) -> None:
    """One letter; bars and shades are drawn as the areas that they stand for, so that they join."""
    (left, top), (width, height) = place, CELL
    if "▁" <= letter <= "█":
        high = round(height * (ord(letter) - ord("▁") + 1) / 8)
        pen.rectangle((left, top + height - high, left + width - 1, top + height - 1), fill=ink)
    elif letter == "░":
        shade = tuple((3 * dark + light) // 4 for dark, light in zip(PAPER, ink, strict=True))
        pen.rectangle((left, top, left + width - 1, top + height - 1), fill=shade)
    else:
        pen.text((left, top), letter, font=font, fill=ink)


def _font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), SIZE_PX)


def _ink(style: Style) -> tuple[int, int, int]:
    ink = style.color.downgrade(ColorSystem.STANDARD).get_truecolor(THEME) if style.color else INK
    red, green, blue = ((value + paper) // 2 if style.dim else value for value, paper in zip(ink, PAPER, strict=True))
    return red, green, blue


def prepare(work: Path) -> None:
    """What training needs: a few demonstrations, and the recipe cut short and validated often."""
    ebt = str(Path(sys.executable).parent / "ebt")
    subprocess.run([ebt, "collect", "-n", "40"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    recipe = "[training]\nmax_steps = 4000\ntime_limit_s = 300\nvalidate_every = 20\n"
    (work / "pick_place.toml").write_text(recipe, encoding="utf-8")


def main() -> None:
    run, verbs = Path(sys.argv[1]).resolve(), sys.argv[2:]
    for verb, scene in scenes(run).items():
        if verbs and verb not in verbs:
            continue
        with tempfile.TemporaryDirectory(prefix="ebt-") as folder:
            if verb == "train":
                prepare(Path(folder))
            target = Path(__file__).parent / f"{verb}.png"
            draw(capture(scene, Path(folder)), target)
            sys.stderr.write(f"{target}: {target.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
