import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from ebt_cli.app import app


def test_the_docs_show_the_help_of_today() -> None:
    spec = spec_from_file_location("help_pages", Path(__file__).parent / "help_pages.py")
    assert spec is not None and spec.loader is not None
    pages = module_from_spec(spec)
    spec.loader.exec_module(pages)
    page = pages.PAGE.read_text(encoding="utf-8")
    assert page == pages.renewed(page), "the help has changed: run `make docs`"


def test_every_verb_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    verbs = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert verbs == set(re.findall(r"^## ebt (\w+)$", page, re.MULTILINE))
