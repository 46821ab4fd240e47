"""The house rules that no linter knows, and the map in docs/architecture.md that must not rot."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("ebt_cli", "recipes", "hardware", "data")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "episodes" not in path.parts)
LONGEST_FUNCTION, LONGEST_FILE = 60, 400  # code lines, lines
MOST_MODULES = 14  # in a folder, beside `__init__`
CODE = (*ROOMS, "benchmarks", "tests")
FOLDERS = sorted({path.parent for top in CODE for path in (ROOT / top).rglob("*.py")})
REFERENCE = re.compile(r"`([\w/]+\.py):([\w.]+)`")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(text: str) -> set[int]:
    """Numbers of the lines that hold more than a comment; docstrings are among them."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}


def function_lengths(text: str) -> dict[str, int]:
    """Code lines from `def` to the last statement, without the docstring, by name and line."""
    lines = code_lines(text)
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            if ast.get_docstring(node) is not None:
                first = node.body[0]
                own -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
            found[f"{node.name}:{node.lineno}"] = len(own & lines)
    return found


def names_in(tree: ast.Module) -> set[str]:
    """What a module defines: `function`, `CONSTANT`, `Class`, `Class.method`."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, Definition):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, Definition)}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def test_a_function_is_measured_without_docstring_blanks_and_comments() -> None:
    text = 'def f(\n    a,\n):\n    """Says.\n\n    More."""\n\n    # why\n    return a\n'
    assert function_lengths(text) == {"f:1": 4}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_too_long_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert {name: length for name, length in function_lengths(text).items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_folder_can_be_read_at_a_glance(folder: Path) -> None:
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES, f"split {folder.name} into sub-packages"


@pytest.mark.parametrize("top", ["ebt_cli", "recipes/ebt_recipes", "hardware/ebt_hardware", "data/ebt_data"])
def test_every_package_says_what_lives_there(top: str) -> None:
    for folder in {path.parent for path in (ROOT / top).rglob("*.py")}:
        init = folder / "__init__.py"
        assert init.is_file() and ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), folder


PLACEHOLDER = re.compile(r"\bebt [a-z]+\b.*\b(RUN|BENCH|FOLDER|EPISODE|RECIPE|PATH)\b")


def messages(tree: ast.Module) -> list[str]:
    """Every text in a module but docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }  # type: ignore[attr-defined]
    docs |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_hint_is_a_command_that_can_be_typed(path: Path) -> None:
    told = messages(ast.parse(path.read_text(encoding="utf-8")))
    assert [text for text in told if PLACEHOLDER.search(text)] == [], "name the run or the bench, not a placeholder"


def test_the_map_names_only_what_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    references = REFERENCE.findall(page)
    assert len(references) > 20, "the map leads through the code"
    folders = (ROOT, *(ROOT / room for room in ROOMS))
    missing = []
    for file, name in references:
        path = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if path is None or name not in names_in(ast.parse(path.read_text(encoding="utf-8"))):
            missing.append(f"{file}:{name}")
    assert missing == []
