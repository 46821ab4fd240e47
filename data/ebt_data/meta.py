"""An episode's metadata, known before its first row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpisodeMeta:
    """Task, operator, bench, policy and settings of an episode; stored as attributes of the file."""

    kind: str
    """`demo` if an operator or a script acts, `rollout` if a policy does; only a rollout has `/energy`."""
    task: str
    """A short description, or the twin's task name."""
    seed: int | None = None
    """Seed of the scene; None if the scene cannot be reproduced."""
    operator: str = ""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Snapshot of the bench's calibration; JSON-serialisable."""
    bench: str = ""
    """Name or path of the bench file."""
    policy: str = ""
    """The run that acted, for a rollout."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version by package name."""
