"""The curves of a training, read from its TensorBoard files."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

Curve = list[tuple[int, float]]
"""(update, value), in order."""


def load_curves(run: Path) -> dict[str, Curve]:
    """By name, e.g. `training/loss`, `validation/action_error_rad`; empty if the run has none.

    After a resume, the later file takes precedence for the same update.
    """
    curves: dict[str, dict[int, float]] = {}
    for file in sorted((run / "tensorboard").glob("events.*"), key=lambda path: path.stat().st_mtime):
        for event in LegacyEventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    curves.setdefault(value.tag, {})[event.step] = value.simple_value
    return {name: sorted(values.items()) for name, values in curves.items()}
