"""`python -m ebt_cli`, the same as `ebt`."""

import sys

from ebt_cli.terminal import stops


def main() -> None:
    """Run the command line and exit with its code."""
    # Whoever ends us gets the safe stop of a Ctrl-C: the arm parks before the process goes. Before the rest is imported.
    stops.listen()
    from ebt_cli.app import run
    from ebt_cli.terminal.console import survive_closed_terminal

    survive_closed_terminal()
    code = run()
    stops.end()
    sys.exit(code)


if __name__ == "__main__":
    main()
