"""The help texts in docs/cli.md: `make docs` writes them, a test compares them."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
_BLOCK = re.compile(r"```console\n\$ ebt (?P<verb>\w+) --help\n.*?```", re.DOTALL)


def renewed(page: str) -> str:
    """`page` with every help block as the command prints it now."""
    return _BLOCK.sub(lambda block: f"```console\n$ ebt {block['verb']} --help\n{_help(block['verb'])}\n```", page)


def _help(verb: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "ebt_cli", verb, "--help"]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    return "\n".join(line.rstrip() for line in told.strip("\n ").splitlines())


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
