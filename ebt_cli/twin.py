"""`ebt twin`: serve the twin's arms, live, on pseudo-terminals for any program that drives Dynamixel motors."""

from pathlib import Path
from typing import Annotated

import typer

from ebt_cli.terminal.completion import task_option
from ebt_cli.terminal.console import notify, result_table
from ebt_data.errors import HardwareError


def twin(
    task: Annotated[str | None, task_option("pick_place")] = None,
    links: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep symlinks with fixed names to the ports here.")
    ] = None,
) -> None:
    """Serve the simulated arms on virtual serial ports (pseudo-terminals) for other Dynamixel programs, until Ctrl-C.

    Each port speaks Dynamixel Protocol 2.0 at any baud rate and belongs to you alone. Any program may open it.
    Example: ebt twin --links /tmp/twin
    """
    from ebt_hardware.twin.live.server import LiveTwin
    from ebt_hardware.twin.tasks.registry import DEFAULT_TASK
    from ebt_hardware.twin.wiring import KOCH

    if links is not None:
        links.mkdir(parents=True, exist_ok=True)
    with LiveTwin(task or DEFAULT_TASK, links={arm: links / arm for arm in KOCH} if links else None) as live:
        motors = {arm: " ".join(f"{number}:{model}" for number, model in wired.items()) for arm, wired in KOCH.items()}
        shown = ((arm, links / arm if links else port, motors[arm]) for arm, port in live.paths.items())
        try:
            result_table(("arm", "port", "motors"), shown)
            notify("Ctrl-C ends it", "dim")
            live.process.join()
        except KeyboardInterrupt:
            return  # Ctrl-C is the normal end
        raise HardwareError("the live twin has ended", hint="its last output is above")
