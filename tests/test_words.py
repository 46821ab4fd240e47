"""Names and prose use the field's terms: coined names and figures of speech that were once here do not come back.

Looks at every name, text and comment of the packages and benchmarks, and at the docs with the help texts in them. An ordinary
word in its ordinary sense may stay: `ALLOWED` has those places.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(
    path
    for top in ("ebt_cli", "recipes", "hardware", "data/ebt_data", "benchmarks")
    for path in (ROOT / top).rglob("*.py")
)
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXT = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}

NAMES = {
    r"Thinker|thinker|thinking|Thought": "PlanSampler, PlanContext",
    r"[Hh]abituate|class Normal": "fit_reference, Reference",
    r"Listener": "ScoreLog",
    r"Blindfolded": "CamerasMasked",
    r"Lessons|lessons": "training data, training batches",
    r"[Dd]arkroom|[Pp]hotographer|[Pp]ortray": "RenderThread, FrameRenderer, third_person",
    r"deaf_children|life_line": "ignore_stop_signals, parent watchdog",
    r"_eyes|learn_eyes": "encoder",
    r"_?upset": "disturbance",
    r"way_back|_way_back": "back_off",
    r"\.learnt|def learnt": "training_rows",
}
WORDS = {
    r"whoever|somebody|anybody|everybody": "the operator, the user, another process",
    r"(?:a|the|no|any) person(?:'s)?": "the operator",
    r"eyes?|blindfold\w*|blind": "observation encoder, observations, cameras masked",
    r"thinks?|thinking|habituate\w*": "samples a plan, fits reference statistics",
    r"listens?|listened|listening|hears?|takes? down|life line|deaf": "records, receives, is notified",
    r"speaks? of|hears? of|tells? of|told of": "reports, contains, is notified",
    r"(?:lays?|laid|lay) (?:out|the scene|anew)": "resets the scene",
    r"energy band|normal band|band of (?:normal )?energies|normal energ\w+": "conformal threshold, calibrated energy",
    r"way back": "back-off",
    r"lessons?|learnt from|was learnt": "training batches, training data, used for training",
    r"upset|done to the world": "disturbance",
    r"as it stands|goes on|go on with|gone on with|under way": "current, resumes, continues",
    r"on the wire|the wire": "bus, IPC",
    r"looks like|as it looks": "canonical pose up to symmetry",
    r"of everybody|for nobody": "shared, unused",
    r"the (?:mind|body|face|memory) (?:of|is|knows)": "policies, hardware, command line, episodes",
    r"puts? (?:it|them|that) right|stands? in the way": "fixes, faults",
}
ALLOWED = (
    "keyboard.Listener",  # pynput's class
    "torch.eye",
    "np.eye",
    "bitshuffle",
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of every string and comment of a module, or of every line of a page."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from enumerate(content.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type in TEXT:
            yield from enumerate(token.string.splitlines(), token.start[0])


def found(path: Path, lines: Iterator[tuple[int, str]], patterns: dict[str, str]) -> list[str]:
    """`file:line: word -> say`, for each pattern that occurs."""
    name = path.relative_to(ROOT).as_posix()
    known = [(re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])"), say) for pattern, say in patterns.items()]
    return [
        f"{name}:{number}: {match[0]!r}, say {say}"
        for number, line in lines
        if not any(allowed in line for allowed in ALLOWED)
        for pattern, say in known
        if (match := pattern.search(line))
    ]


@pytest.mark.parametrize("path", [*CODE, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_prose_is_plain(path: Path) -> None:
    assert found(path, texts(path), WORDS) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_are_the_fields(path: Path) -> None:
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    assert found(path, lines, NAMES) == []


def test_a_coined_word_is_found_with_its_line(tmp_path: Path) -> None:
    path = ROOT / "ebt_cli" / "app.py"
    (report,) = found(path, iter([(7, "What the policy is worth without its eyes.")]), WORDS)
    assert report.startswith("ebt_cli/app.py:7: 'eyes', say observation encoder")
    assert found(path, iter([(7, "a policy eyed from afar")]), WORDS) == []
